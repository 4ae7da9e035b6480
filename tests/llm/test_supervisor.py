"""The supervisor: a stopped server is gone, there are never two, and none outlives the supervisor.

The server is a stand-in that can misbehave. test_llm_server.py uses the real one.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from images.llm.faults import Faults
from tests.llm.supervised import PROGRAM, STANDIN, Supervisor, exists, free_port
from tests.waiting import wait_for

Supervise = Callable[..., Supervisor]


def test_stop_answers_after_the_process_is_gone(supervise: Supervise, standin_model: Path) -> None:
    """A server that ignores SIGTERM is killed after the limit."""
    supervisor = supervise(
        standin_model, "--autostart", "--stop-limit-s=0.3", standin="ignore-term"
    )
    pid = supervisor.await_healthy()["pid"]
    answer = supervisor.ask("POST", "/stop")
    assert not exists(pid)
    counts = {"generation": 1, "starts": 1, "stops": 1}
    assert answer == {"state": "stopped", "pid": None, "crashed": False, **counts}
    assert supervisor.events() == ["start", "ready", "stop", "gone"]


def test_start_is_idempotent(supervise: Supervise, standin_model: Path) -> None:
    """A second start keeps the first server, and is recorded as `start_refused`."""
    supervisor = supervise(standin_model, standin="")
    first = supervisor.ask("POST", "/start")
    second = supervisor.ask("POST", "/start")
    assert first["state"] == second["state"] == "running"
    assert (first["pid"], first["generation"]) == (second["pid"], second["generation"])
    assert supervisor.events()[:1] == ["start"]
    assert "start_refused" in supervisor.events()


def test_concurrent_starts_and_stops_never_make_two_servers(
    supervise: Supervise, standin_model: Path
) -> None:
    supervisor = supervise(standin_model, "--stop-limit-s=5", standin="loading")
    with ThreadPoolExecutor(8) as pool:
        paths = ["/start", "/start", "/stop", "/start"] * 6
        list(pool.map(lambda path: supervisor.request("POST", path), paths))
    alive = 0
    for line in supervisor.events_path.read_text().splitlines():
        alive += {"start": 1, "gone": -1, "crashed": -1}.get(json.loads(line)["event"], 0)
        assert alive in (0, 1)
    children = Path(f"/proc/{supervisor.process.pid}/task/{supervisor.process.pid}/children")
    assert len(children.read_text().split()) == alive


def test_a_server_that_dies_is_recorded_and_stays_down(
    supervise: Supervise, standin_model: Path
) -> None:
    """The Watcher must start it again, which makes a new generation."""
    supervisor = supervise(standin_model, "--autostart", standin="")
    pid = supervisor.await_healthy()["pid"]
    os.kill(pid, signal.SIGKILL)
    crashed = ["start", "ready", "crashed"]
    wait_for("the crash is recorded", lambda: supervisor.events() == crashed)
    assert supervisor.status()["state"] == "stopped"
    assert supervisor.ask("POST", "/start")["generation"] == 2


def test_a_server_that_cannot_start_is_recorded_as_crashed(
    supervise: Supervise, standin_model: Path
) -> None:
    """The log has the reason."""
    supervisor = supervise(standin_model, "--autostart", standin="crash")
    wait_for("the crash is noticed", lambda: supervisor.events() == ["start", "crashed"])
    assert "cannot load the model" in supervisor.log.read_text()


def test_a_loading_server_is_running_and_not_healthy(
    supervise: Supervise, standin_model: Path
) -> None:
    """It answers 503 while the model loads."""
    supervisor = supervise(standin_model, "--autostart", standin="loading")
    status = supervisor.status()
    assert status["state"] == "running"
    assert status["healthy"] is False


def test_status_answers_while_health_hangs(supervise: Supervise, standin_model: Path) -> None:
    """A hung server does not block its supervisor, and can be stopped."""
    supervisor = supervise(standin_model, "--autostart", standin="hang")
    status = supervisor.status()
    assert status["healthy"] is False
    assert supervisor.ask("POST", "/stop")["state"] == "stopped"
    assert not exists(status["pid"])


def test_sigterm_of_the_supervisor_stops_the_server(
    supervise: Supervise, standin_model: Path
) -> None:
    supervisor = supervise(standin_model, "--autostart", standin="")
    pid = supervisor.await_healthy()["pid"]
    supervisor.end()
    assert supervisor.process.returncode == 0
    assert not exists(pid)


def test_the_server_never_outlives_its_supervisor(
    supervise: Supervise, standin_model: Path
) -> None:
    """Also after kill -9 of the supervisor."""
    supervisor = supervise(standin_model, "--autostart", standin="ignore-term")
    pid = supervisor.await_healthy()["pid"]
    supervisor.process.kill()
    wait_for("the server is gone", lambda: not exists(pid))


def test_the_log_is_bounded(supervise: Supervise, standin_model: Path) -> None:
    """A server that logs without end fills at most two files of the limit."""
    supervisor = supervise(standin_model, "--autostart", "--log-max-bytes=100000", standin="chatty")
    supervisor.await_healthy()
    rotated = supervisor.log.with_name("llm.log.1")
    wait_for("the log was rotated", rotated.exists)
    supervisor.end()
    assert 0 < rotated.stat().st_size <= 100_000
    assert supervisor.log.stat().st_size <= 100_000


def test_an_unknown_path_is_404_and_names_the_known_ones(
    supervise: Supervise, standin_model: Path
) -> None:
    supervisor = supervise(standin_model, standin="")
    assert supervisor.request("GET", "/health")[0] == 404
    code, answer = supervisor.request("POST", "/restart")
    assert code == 404
    assert "/start, /stop" in answer["error"]


def test_a_taken_control_port_is_exit_2(supervise: Supervise, standin_model: Path) -> None:
    """One line on stderr, and no server is started."""
    first = supervise(standin_model, standin="")
    second = subprocess.run(
        [
            sys.executable,
            str(PROGRAM),
            f"--control=127.0.0.1:{first.control}",
            f"--model={standin_model}",
            f"--events={first.folder / 'second.jsonl'}",
            f"--log={first.folder / 'second.log'}",
            "--autostart",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 2
    assert "cannot listen" in second.stderr
    assert not (first.folder / "second.jsonl").exists()


def test_a_slow_load_answers_503_until_the_server_takes_over_the_port(
    supervise: Supervise, standin_model: Path
) -> None:
    """The same process serves afterwards, and is healthy."""
    supervisor = supervise(standin_model, standin="")
    supervisor.ask("PUT", "/faults", {"load_delay_s": 1.5})
    pid = supervisor.ask("POST", "/start")["pid"]

    def status_of(method: str) -> int | None:
        link = http.client.HTTPConnection("127.0.0.1", supervisor.port, timeout=10)
        try:
            link.request(method, "/health", "x" if method == "POST" else None)
            answer = link.getresponse()
            text = answer.read()
        except OSError:
            return None
        finally:
            link.close()
        return answer.status if answer.status != 503 or b"Loading model" in text else None

    wait_for("503 while loading", lambda: status_of("GET") == 503)
    assert status_of("POST") in (503, 200, None)
    assert supervisor.status()["state"] == "running"
    assert supervisor.ask("POST", "/start")["pid"] == pid  # no second server
    assert supervisor.await_healthy()["pid"] == pid
    assert supervisor.events().count("start") == 1


def test_a_slow_load_can_be_stopped_at_once(supervise: Supervise, standin_model: Path) -> None:
    supervisor = supervise(standin_model, "--stop-limit-s=30", standin="")
    supervisor.ask("PUT", "/faults", {"load_delay_s": 600})
    pid = supervisor.ask("POST", "/start")["pid"]
    supervisor.ask("POST", "/stop")
    assert not exists(pid)
    assert json.loads(supervisor.events_path.read_text().splitlines()[-1])["exit_code"] != -9


def test_a_denied_start_is_503_until_the_fault_is_removed(
    supervise: Supervise, standin_model: Path
) -> None:
    supervisor = supervise(standin_model, standin="")
    supervisor.ask("PUT", "/faults", {"deny_start": True})
    assert supervisor.request("POST", "/start")[0] == 503
    assert supervisor.status()["state"] == "stopped"
    supervisor.ask("PUT", "/faults", {})
    assert supervisor.ask("POST", "/start")["state"] == "running"
    assert supervisor.events()[:2] == ["start_denied", "start"]


def test_a_server_that_ignores_stops_ignores_them_before_its_program_runs() -> None:
    """A stop may come while the interpreter starts."""
    show = "print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)"
    command = [
        *Faults(ignore_stop=True).launcher(),
        sys.executable,
        "-Ic",
        f"import signal; {show}",
    ]
    assert subprocess.check_output(command, text=True).strip() == "True"
    assert Faults().launcher() == []


def test_invalid_faults_are_rejected_and_change_nothing(
    supervise: Supervise, standin_model: Path
) -> None:
    supervisor = supervise(standin_model, standin="")
    before = supervisor.ask("PUT", "/faults", {"ignore_stop": True})
    for body in (
        [],
        {"load_delay_s": -1},
        {"load_delay_s": "soon"},
        {"deny": 1},
        {"deny_start": 1},
    ):
        assert supervisor.request("PUT", "/faults", body)[0] == 400
    assert supervisor.request("PUT", "/other", {})[0] == 404
    assert supervisor.ask("GET", "/faults") == before


def test_another_server_by_a_command_is_stopped_by_its_own_command(
    supervise: Callable[..., Supervisor], standin_model: Path, tmp_path: Path
) -> None:
    """Started and stopped as the options say; what a script leaves behind is ended with it."""
    left, server = tmp_path / "left.pid", tmp_path / "server.pid"
    port = free_port()
    script = tmp_path / "start.sh"
    script.write_text(
        f"sleep 600 & echo $! > {left}; echo $$ > {server}\nexec {STANDIN} --port {port}\n"
    )
    supervisor = supervise(
        standin_model,
        f"--port={port}",
        *(f"--command={word}" for word in ("sh", str(script))),
        *(f"--stop-command={word}" for word in ("sh", "-c", f"kill -9 $(cat {server})")),
        "--autostart",
    )
    pid = supervisor.await_healthy()["pid"]
    assert exists(pid) and exists(int(left.read_text()))
    supervisor.ask("POST", "/stop")
    assert not exists(pid) and not exists(int(left.read_text()))
    assert supervisor.events() == ["start", "ready", "stop", "gone"]
    lines = map(json.loads, supervisor.events_path.read_text().splitlines())
    assert [line["exit_code"] for line in lines if line["event"] == "gone"] == [-signal.SIGKILL]
