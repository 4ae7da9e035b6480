"""The real llama.cpp server under its supervisor, and the options of a native binary."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.llm.supervised import PROGRAM, STANDIN, Supervisor, exists

SERVER = PROGRAM.with_name("llm_server.py")


def ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        text = json.dumps(body) if body is not None else None
        link.request(method, path, text, {"Content-Type": "application/json"})
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


@pytest.mark.stack
def test_the_real_server_starts_answers_stops_and_starts_again(
    supervise: Callable[..., Supervisor], model_path: Path
) -> None:
    """Health, grammar, metrics and slots. `/stop` ends its process; `/start` makes a new one."""
    supervisor = supervise(model_path, "--autostart")
    first = supervisor.await_healthy()
    status, text = ask(
        supervisor.port,
        "POST",
        "/completion",
        {"prompt": "Yes or no?", "n_predict": 4, "grammar": 'root ::= "yes" | "no"'},
    )
    assert status == 200
    assert json.loads(text)["content"] in ("yes", "no")
    assert "llamacpp:requests_processing" in ask(supervisor.port, "GET", "/metrics")[1]
    assert len(json.loads(ask(supervisor.port, "GET", "/slots")[1])) == 2
    supervisor.ask("POST", "/stop")
    assert not exists(first["pid"])
    supervisor.ask("POST", "/start")
    second = supervisor.await_healthy()
    assert second["pid"] != first["pid"]
    assert second["generation"] == 2
    supervisor.end()
    assert not exists(second["pid"])
    assert supervisor.events() == ["start", "ready", "stop", "gone"] * 2


@pytest.mark.stack
def test_a_stop_while_the_model_loads_needs_no_sigkill(
    supervise: Callable[..., Supervisor], model_path: Path
) -> None:
    """Native code runs no Python handler, so the kernel's default action must end the process."""
    supervisor = supervise(model_path, "--stop-limit-s=20")
    pid = supervisor.ask("POST", "/start")["pid"]
    supervisor.ask("POST", "/stop")
    assert not exists(pid)
    gone = json.loads(supervisor.events_path.read_text().splitlines()[-1])
    assert gone["event"] == "gone"
    assert gone["exit_code"] in (0, -15)


def test_a_missing_model_is_a_one_line_error(tmp_path: Path) -> None:
    """Without a traceback."""
    done = subprocess.run(
        [sys.executable, str(SERVER), "--model", str(tmp_path / "none.gguf")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"llm_server: no model at {tmp_path / 'none.gguf'}"


def test_a_native_binary_gets_the_same_settings(tmp_path: Path, standin_model: Path) -> None:
    """A script that prints its options stands in for the binary."""
    script = tmp_path / "llama-server"
    script.write_text('#!/bin/sh\necho "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, str(SERVER), "--binary", str(script), "--model", str(standin_model)),
            *("--port", "1234", "--threads", "2", "--ctx", "512", "--parallel", "1"),
            *("--cache-ram-mib", "64"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split() == [
        *("--model", str(standin_model), "--host", "127.0.0.1", "--port", "1234"),
        *("--threads", "2", "--ctx-size", "512", "--parallel", "1", "--cache-ram", "64"),
        *("--metrics", "--slots", "--no-warmup"),
    ]


def test_a_native_binary_gets_the_gpu_options(tmp_path: Path, standin_model: Path) -> None:
    """Layers, batches, and `--binary-arguments`. An option that is not given is not passed."""
    script = tmp_path / "llama-server"
    script.write_text('#!/bin/sh\necho "$@"\n')
    script.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, str(SERVER), "--binary", str(script), "--model", str(standin_model)),
            *("--gpu-layers=999", "--batch=1024", "--micro-batch=256"),
            "--binary-arguments=--split-mode row --alias 'a b'",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.strip().endswith(
        "--no-warmup --n-gpu-layers 999 --batch-size 1024 --ubatch-size 256 "
        "--split-mode row --alias a b"
    )


def test_the_standin_is_executable() -> None:
    """Otherwise every test that uses it would test a crash."""
    assert os.access(STANDIN, os.X_OK)
