"""`chaos monitor` on a real Watcher in a real workspace, without an LLM server."""

from __future__ import annotations

import gc
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.monitor.alerts import parse_rules
from chaos.monitor.display import JsonLines, Rows
from chaos.monitor.instance import OwnFile, instance_of
from chaos.monitor.loop import Monitor
from chaos.monitor.stall import Stall
from chaos.runner.resolve import read_target
from chaos.stack.base import Endpoint
from chaos.witness.base import SourceBase, Values
from chaos.witness.build import build_sources
from tests.waiting import wait_for
from tests.workspaces import REPO, Daemon, free_port, fresh

# The plan's eight signals. Without a GPU, its memory is an absence with a reason.
EIGHT = {
    "watcher.rss_anon_bytes",
    "watcher.fds",
    "disk.workspace_free_bytes",
    "queue.pending",
    "queue.archived",
    "decisions.lines",
    "llm.health",
    "log.errors",
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """The real Watcher in a workspace with a queue and one decision."""
    workspace = fresh(tmp_path / "workspace")
    for folder in ("claimed", "archive", "quarantine"):
        (workspace / "watcher_requests" / folder).mkdir(parents=True)
    (workspace / "policy_history").mkdir()
    (workspace / "watcher_decisions.jsonl").write_text('{"decision_id": "d000001"}\n')
    watcher = Daemon(workspace)
    yield watcher
    watcher.end()


def start(daemon: Daemon, *args: str, **popen: Any) -> subprocess.Popen[str]:
    """`chaos monitor` as a process, in the Watcher's working directory."""
    return subprocess.Popen(
        [sys.executable, "-m", "chaos", "monitor", "--llm", daemon.llm, *args],
        cwd=daemon.workspace,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=popen.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )


class Lines:
    """The lines that a monitor with --jsonl has written into a file so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self, kind: str) -> list[dict[str, Any]]:
        whole = self._path.read_text().rpartition("\n")[0].splitlines()
        return [record for line in whole if (record := json.loads(line))["kind"] == kind]

    def last(self, key: str) -> Any:
        samples = self.all("sample")
        return samples[-1]["values"].get(key) if samples else None


@pytest.fixture
def watched(daemon: Daemon, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`watched(*args)` -> (process, Lines) of a monitor at 20 Hz with JSON lines."""
    started: list[subprocess.Popen[str]] = []

    def begin(*args: str) -> tuple[subprocess.Popen[str], Lines]:
        path = tmp_path / "signals.jsonl"
        with path.open("w") as out:
            started.append(start(daemon, "--jsonl", "--interval", "50ms", *args, stdout=out))
        return started[-1], Lines(path)

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_all_signals_of_the_real_watcher_are_measured(daemon: Daemon) -> None:
    done = start(daemon, "--jsonl", "--interval", "100ms", "--count", "5")
    out, err = done.communicate(timeout=60)
    assert done.returncode == ExitCode.PASS and err == ""
    records = [json.loads(line) for line in out.splitlines()]
    samples = [record for record in records if record["kind"] == "sample"]
    assert len(samples) == 5
    values = samples[-1]["values"]
    assert values.keys() >= EIGHT
    assert values["watcher.pid"] == daemon.process.pid
    assert values["watcher.rss_anon_bytes"] > 5e6 and values["watcher.fds"] >= 3
    assert values["decisions.lines"] == 1
    assert values["llm.health"] == "down"
    gpu = [record for record in records if record.get("source") == "gpu"]
    assert gpu or any(key.startswith("gpu") for key in values)
    assert records[-1]["kind"] == "end" and records[-1]["samples"] == 5


def test_another_process_with_the_watchers_name_is_not_monitored(daemon: Daemon) -> None:
    """The plan's `pgrep -f watcher_agent | head -1` would find it."""
    decoys = [
        subprocess.Popen(
            [sys.executable, "-c", "import threading; threading.Event().wait()",
             "agents/watcher_agent.py", "--daemon"],
            cwd=daemon.workspace,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        out, _ = start(daemon, "--jsonl", "--count", "1").communicate(timeout=60)
        assert json.loads(out.splitlines()[0])["values"]["watcher.pid"] == daemon.process.pid
        daemon.kill()
        out, _ = start(daemon, "--jsonl", "--count", "1").communicate(timeout=60)
        assert "watcher.pid" not in json.loads(out.splitlines()[0])["values"]
    finally:
        for decoy in decoys:
            decoy.kill()
            decoy.wait()


def test_a_killed_watcher_raises_an_alert_and_its_next_process_is_followed(
    daemon: Daemon, watched: Callable[..., Any]
) -> None:
    monitor, lines = watched("--alert", "none", "--alert", "watcher.pid=absent for 100ms")
    first = wait_for("it is seen", lambda: lines.last("watcher.pid"))
    daemon.kill()
    raised = wait_for("an alert", lambda: lines.all("alert"))[0]
    assert raised["state"] == "raised" and raised["rule"] == "watcher.pid=absent for 100ms"
    absent = [record for record in lines.all("absent") if record["source"] == "watcher"]
    assert f"names process {first}, which has ended" in absent[-1]["reason"]
    daemon.restart()
    second = wait_for("its next start", lambda: lines.last("watcher.pid"))
    assert second == daemon.process.pid != first
    wait_for("the alert is over", lambda: lines.all("alert")[-1]["state"] == "cleared")
    monitor.send_signal(signal.SIGINT)
    monitor.wait(60)
    assert monitor.returncode == ExitCode.GUARDRAIL
    assert lines.all("end")[0]["alerts"] == 1


def test_a_traceback_in_the_log_raises_an_alert_but_old_ones_do_not(
    daemon: Daemon, watched: Callable[..., Any]
) -> None:
    log = daemon.workspace / "logs" / "watcher_agent.log"
    with log.open("a") as stream:
        stream.write("Traceback (most recent call last):\n")
    monitor, lines = watched("--until-alert", "--alert", "none", "--alert", "rise:log.tracebacks>0")
    wait_for("samples", lambda: lines.last("log.tracebacks") == 1)
    assert not lines.all("alert")
    with log.open("a") as stream:
        stream.write("Traceback (most recent call last):\n")
    assert monitor.wait(60) == ExitCode.GUARDRAIL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_monitor_with_exit_0(
    number: signal.Signals, daemon: Daemon, watched: Callable[..., Any]
) -> None:
    monitor, lines = watched()
    wait_for("a sample", lambda: lines.all("sample"))
    monitor.send_signal(number)
    _, err = monitor.communicate(timeout=60)
    assert monitor.returncode == ExitCode.PASS and err == ""
    assert lines.all("end")[0]["samples"] == len(lines.all("sample"))


def test_a_named_process_needs_no_workspace(daemon: Daemon, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "monitor", "--jsonl", "--count", "1", "--llm", daemon.llm,
         "--pid", str(daemon.process.pid)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    values = json.loads(done.stdout.splitlines()[0])["values"]
    assert done.returncode == 0 and values["watcher.pid"] == daemon.process.pid
    assert values["decisions.lines"] == 1


def test_output_to_a_file_is_plain_rows(daemon: Daemon) -> None:
    done = start(daemon, "--interval", "50ms", "--count", "3")
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0 and err == ""
    rows = out.splitlines()
    assert rows[0].split()[:4] == ["time", "watcher", "fds", "gpu"]
    assert "MB" in rows[1] and rows[1].split()[-2:] == ["down", "0"]
    assert all(len(row) <= 80 for row in rows if not row.startswith(("  absent", "never")))
    assert "3 samples in" in out and "\x1b[" not in out


def test_a_live_table_on_a_terminal_ends_with_ctrl_c(daemon: Daemon) -> None:
    ours, theirs = pty.openpty()
    monitor = start(daemon, "--interval", "50ms", stdout=theirs, stdin=theirs)
    os.close(theirs)
    seen = b""
    try:
        while b"watcher.rss_anon_bytes" not in seen:
            seen += os.read(ours, 65536)
        monitor.send_signal(signal.SIGINT)
        while b"alerts raised: 0" not in seen:
            seen += os.read(ours, 65536)
        assert monitor.wait(60) == ExitCode.PASS
        assert b"\x1b[" in seen and b"Traceback" not in seen
    finally:
        monitor.kill()
        monitor.communicate()
        os.close(ours)


def test_a_closed_reader_is_not_an_error(daemon: Daemon) -> None:
    monitor = start(daemon, "--jsonl", "--interval", "20ms")
    assert monitor.stdout is not None
    monitor.stdout.readline()
    monitor.stdout.close()
    assert monitor.wait(60) == ExitCode.PASS
    assert monitor.stderr is not None and monitor.stderr.read() == ""
    monitor.stderr.close()


@pytest.mark.parametrize("kind", ["jsonl", "rows"])
def test_memory_stays_constant_over_any_number_of_samples(kind: str, daemon: Daemon) -> None:
    target = read_target("reference")[1]
    instance = OwnFile(instance_of(target), daemon.workspace)
    endpoint = Endpoint("127.0.0.1", free_port())
    sources = [*build_sources(target, daemon.workspace, endpoint, instance), Stall()]
    monitor = Monitor(sources, parse_rules([]), instance)
    with Path(os.devnull).open("wb") as raw, Path(os.devnull).open("w") as text:
        display = JsonLines(raw) if kind == "jsonl" else Rows(text)
        tracemalloc.start()
        try:
            grown = -_traced_after(200, monitor, display) + _traced_after(600, monitor, display)
        finally:
            tracemalloc.stop()
            for source in sources:
                source.close()
    assert grown < 16 * 1024, f"{grown} bytes over 600 samples"


def _traced_after(samples: int, monitor: Monitor, display: JsonLines | Rows) -> int:
    """Bytes in use after so many more samples, without the interpreter's free lists."""
    for _ in range(samples):
        display.show(monitor.sample())
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_a_late_sample_is_skipped_and_counted(daemon: Daemon) -> None:
    class Slow(SourceBase):
        def read(self, values: Values) -> None:
            time.sleep(0.05)

    class Nowhere:
        def show(self, moment: object) -> None:
            """Ignore it."""

        def close(self, summary: object) -> None:
            """Ignore it."""

    done = Monitor([Slow("slow")], []).run(Nowhere(), 0.01, threading.Event(), count=3)
    assert done.samples == 3 and done.overruns >= 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--interval", "1ms"], 2, "too short"),
        (["--interval", "often"], 2, "not a duration"),
        (["--count", "0"], 2, "--count"),
        (["--llm", "nowhere"], 2, "HOST:PORT"),
        (["--alert", "wacher.fds>1"], 2, "did you mean 'watcher.fds'?"),
        (["--target", "refrence"], 2, "did you mean 'reference'?"),
        (["--pid", "4194304"], 4, "no process 4194304"),
        (["--workspace", "/nonexistent"], 4, "--workspace DIR"),
    ],
)
def test_an_error_says_why_and_what_to_do_next(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    base = (
        [] if "--workspace" in arguments or "--pid" in arguments else ["--workspace", str(tmp_path)]
    )
    assert main(["monitor", "--count", "1", *base, *arguments]) == code
    err = capsys.readouterr().err
    assert message in err and "next: " in err
