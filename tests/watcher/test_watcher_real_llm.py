"""The agent with real parts: pipeline, supervisor and native LLM server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from watcher_lab import Lab
from wire_stand_in import StandIn

from tests.waiting import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


@pytest.fixture
def real_lab(lab: Lab, repo: Path, model_path: Path) -> Iterator[Lab]:
    """The workspace with the real pipeline, and the supervisor with the real server."""
    shutil.rmtree(lab.root / "pipeline")
    ignore = shutil.ignore_patterns("__pycache__", "agents")
    images = repo / "images"
    shutil.copytree(images / "watcher", lab.root, ignore=ignore, dirs_exist_ok=True)
    control, server = free_ports(2)
    lab.set_policies(
        control=f"127.0.0.1:{control}",
        endpoint=f"127.0.0.1:{server}",
        timeout_seconds=60,
        start_timeout_seconds=60,
    )
    command = [sys.executable, str(images / "llm" / "supervisor.py")]
    command += ["--control", f"127.0.0.1:{control}", "--port", str(server)]
    command += ["--model", str(model_path), "--autostart"]
    command += ["--events", "logs/llm_events.jsonl", "--log", "logs/llm_server.log"]
    command += ["--", "--threads", "1"]
    with (lab.root.parent / "supervisor.out").open("wb") as output:
        supervisor = subprocess.Popen(command, cwd=lab.root, stdout=output, stderr=output)
        try:
            yield lab
        finally:
            supervisor.terminate()
            supervisor.wait(30)


def test_requests_are_decided_by_the_real_model(real_lab: Lab) -> None:
    """Both request types. Each request has a new server process."""
    lab = real_lab
    for command in (["bootstrap_history.py"], lab.command("--run-pipeline", "--end-step", "3")[1:]):
        subprocess.run(
            [sys.executable, *command], cwd=lab.root, env=lab.environment(), check=True, timeout=120
        )
    lab.start()
    lab.submit("a.json", "learning_loop")
    lab.submit("b.json", "selfplay", parameters={"episodes": 1, "policy_conditioned": True})
    wait_for("both archived", lambda: lab.archived() == ["a.json", "b.json"], 240)
    decisions = lab.decisions()
    assert [d["status"] for d in decisions] == ["COMPLETED", "COMPLETED"], decisions
    assert [d["decided_by"] for d in decisions] == ["llm", "llm"], decisions
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 1
    [candidate] = (lab.root / "policy_history").glob("*.json")
    assert json.loads(candidate.read_text())["request_file"] == "b.json"
    starts = [d["lifecycle"]["start"]["pid"] for d in decisions]
    assert len(set(starts)) == 2
    events = (lab.root / "logs/llm_events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["event"] for line in events]
    assert kinds.count("gone") == 2 and "crashed" not in kinds
    assert lab.halt() == 0
    lab.assert_no_trouble()


def test_a_killed_server_is_started_again(real_lab: Lab) -> None:
    lab = real_lab
    lab.start()

    def pid() -> int | None:
        status = subprocess.run(
            [sys.executable, "-m", "agents.llm_lifecycle", "status"],
            cwd=lab.root, env=lab.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        answer = json.loads(status.stdout or "null") or {}
        return answer.get("pid") if answer.get("healthy") else None

    first = wait_for("first server", pid)
    os.kill(first, 9)
    second = wait_for("second server", lambda: (now := pid()) and now != first and now)
    assert second != first


def test_the_start_script_is_idempotent(real_lab: Lab, wire: StandIn) -> None:
    """llm_services/start_llm_servers.sh, called twice, starts one server."""
    del wire
    for _ in range(2):
        subprocess.run(
            ["bash", "llm_services/start_llm_servers.sh"],
            cwd=real_lab.root,
            env={**os.environ, "PYTHON": sys.executable},
            check=True,
            timeout=120,
            capture_output=True,
        )
    events = (real_lab.root / "logs/llm_events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events].count("start") == 1
