"""`chaos serve` as a user runs it: bad input, the address it prints, its end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from tests.record.runs_folder import add_gate, add_run, verdict
from tests.serve.planted import Growing
from tests.serve.serving import Server, tree
from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[2]
_LIMIT_S = 60.0


@contextmanager
def served(
    runs: Path, *words: str, **env: str
) -> Iterator[tuple[subprocess.Popen[str], list[str], int]]:
    """(the process of `chaos serve`, what it has printed, its port)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chaos", "serve", "--runs", str(runs), "--port", "0", *words],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        yield process, lines, int(lines[0].rstrip().rstrip("/").rpartition(":")[2])
    finally:
        process.kill()
        process.wait(_LIMIT_S)
        process.stdout.close()


def test_bad_input_is_explained_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        port = busy.getsockname()[1]
        for words, said in (
            (["--runs", "/nonexistent"], ["--runs /nonexistent: no such folder"]),
            (["--runs", str(tmp_path / "file")], ["not a folder"]),
            (
                ["--runs", str(tmp_path), "--port", str(port)],
                [f"port {port} is in use", "--port 0"],
            ),
            (["--runs", str(tmp_path), "--port", "65536"], ["--port: out of range", "65535"]),
            (["--runs", str(tmp_path), "--port", "-1"], ["--port: out of range"]),
            (["--runs", str(tmp_path), "--port", "http"], ["not a whole number"]),
            (["--host", "0.0.0.0"], ["unknown option '--host'"]),
        ):
            assert main(["serve", *words]) == ExitCode.USAGE
            err = capsys.readouterr().err
            assert all(text in err for text in [*said, "next:"]), err


@pytest.mark.slow(seconds=2)
def test_it_says_what_it_serves_and_ends_with_an_open_stream(tmp_path: Path) -> None:
    add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa", verdict())
    add_gate(tmp_path, "20260205-000000-s7-dddd", {})
    growing = Growing(tmp_path, "soak_c/20260204-101500-s7-aaaa")
    with served(tmp_path) as (process, lines, port):
        assert lines[0].startswith("http://127.0.0.1:")
        assert f"2 run(s), 1 gate(s) and 0 batch(es) of {tmp_path}" in lines[1]
        before = tree(tmp_path)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S)) as link:
            link.request("GET", f"/runs/{growing.id}/events")
            answer = link.getresponse()
            assert answer.status == 200
            assert answer.readline()
            assert tree(tmp_path) == before
            process.send_signal(signal.SIGINT)
            assert process.wait(_LIMIT_S) == ExitCode.PASS
            assert process.stdout is not None
            assert process.stdout.read() == ""  # no traceback
    growing.close()


@pytest.mark.slow(seconds=2)
def test_it_listens_to_loopback_alone(tmp_path: Path) -> None:
    with served(tmp_path) as (process, _, port):
        listening = wait_for("it listens", lambda: listeners(process.pid, port))
        assert listening == {"0100007F"}  # 127.0.0.1, as the kernel writes it


def listeners(pid: int, port: int) -> set[str]:
    """The addresses at which somebody listens to this port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


@pytest.mark.slow(seconds=8)
def test_a_thousand_runs_fit_into_150_mb(tmp_path: Path) -> None:
    """Findings as a real run has them: forty, some with long texts. The peak of the process."""
    content = verdict("fail", fault="llm_timeout")
    content["findings"] = [
        {**content["findings"][1], "title": f"Finding {n}", "summary": "x" * 300,
         "outcome": "fail" if n < 5 else "pass",
         "evidence": [{"ref": f"history.jsonl:{m}", "text": "y" * 60} for m in range(10)],
         "evidence_count": 10}
        for n in range(40)
    ]  # fmt: skip
    for number in range(1000):
        add_run(tmp_path, f"soak_c/202602{number % 28 + 1:02d}-{number:06d}-s7-aaaa", content)
    with served(tmp_path) as (process, lines, port):
        assert "1000 run(s)" in lines[1]
        asked = Server(port, None)  # type: ignore[arg-type]
        for path in ("/", "/?page=5", "/?text=finding+3", "/metrics", "/"):
            assert asked.ask(path).status == 200
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak_kb = int(status.partition("VmHWM:")[2].split()[0])
        maps = Path(f"/proc/{process.pid}/maps").read_text()
    assert peak_kb < 150_000
    assert "duckdb" not in maps  # only another process opens a database


@pytest.mark.slow(seconds=2)
def test_open_starts_the_browser_with_the_address(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part && '
                       f"mv {tmp_path}/opened.part {tmp_path}/opened\n")  # fmt: skip
    browser.chmod(0o755)
    with served(tmp_path / "runs", "--open", BROWSER=f"{browser} %s") as (_, lines, _port):
        opened = wait_for("the browser is started", lambda: _text(tmp_path / "opened"))
        assert opened == lines[0]


@pytest.mark.slow(seconds=2)
def test_open_without_a_browser_is_a_line_and_the_server_goes_on(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "BROWSER": f"{tmp_path}/none", "DISPLAY": "", "TERM": "dumb"}
    with served(tmp_path, "--open", **nothing) as (process, _, port):
        assert process.stdout is not None
        assert "--open: no browser can be started here" in process.stdout.readline()
        assert Server(port, None).ask("/").status == 200  # type: ignore[arg-type]


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
