"""The health checks tell broken from healthy: the real programs in the real images.

The LLM server is the stand-in of tests/llm, which misbehaves as the real one will not on request.
"""

from __future__ import annotations

import json
import os
import runpy
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docker.types import Healthcheck

from chaos.stack.docker.images import Image
from tests.stack.docker.running import PYTHON, Running
from tests.waiting import wait_for

CONTROL = "http://127.0.0.1:8079"
API = "http://127.0.0.1:8474"
CHECK = (PYTHON, "/opt/llm/container/health.py")
ABSENT_PID = 4_194_304  # above the kernel's highest


def supervised(
    start: Callable[..., Running], image: Image, repo: Path, mode: str, **more: Any
) -> Running:
    """The llm container with the stand-in below its supervisor."""
    running = start(
        image.reference,
        *(PYTHON, "/opt/llm/supervisor.py", "--autostart", "--model=/etc/os-release"),
        *("--events=/tmp/events", "--log=/tmp/log", "--", "--binary=/opt/standin"),
        files={"/opt/standin": repo / "tests" / "llm" / "standin_server.py"},
        environment={"STANDIN": mode},
        **more,
    )
    wait_for("the supervisor answers", lambda: running.answers(f"{CONTROL}/status"))
    return running


@pytest.mark.docker
@pytest.mark.slow
def test_llm_is_healthy_when_it_generates_or_was_stopped_on_request(
    start: Callable[..., Running], built: dict[str, Image], repo: Path
) -> None:
    """But not when it ended by itself."""
    llm = supervised(start, built["llm"], repo, "")
    assert llm.ask(*CHECK) == (0, "healthy")
    llm.http("POST", f"{CONTROL}/stop")
    assert llm.ask(*CHECK) == (0, "healthy")
    llm.http("POST", f"{CONTROL}/start")
    assert llm.ask(*CHECK) == (0, "healthy")
    pid = llm.http("GET", f"{CONTROL}/status")["pid"]
    llm.ask(PYTHON, "-c", f"import os; os.kill({pid}, 9)")
    wait_for("the crash is noticed", lambda: llm.http("GET", f"{CONTROL}/status")["crashed"])
    assert llm.ask(*CHECK) == (1, "the server ended by itself")


@pytest.mark.docker
@pytest.mark.slow
def test_llm_with_an_open_port_but_no_completion_is_unhealthy(
    start: Callable[..., Running], built: dict[str, Image], repo: Path
) -> None:
    """`/health` answers 200 all the time: what a check of the port would call healthy."""
    # The engine's own verdict, by the image's own check: only how often it looks is ours.
    often = Healthcheck(interval=10**9, timeout=30 * 10**9, start_period=10**9, retries=1)
    llm = supervised(start, built["llm"], repo, "mute", healthcheck=often)
    wait_for("the server answers", lambda: llm.answers("http://127.0.0.1:8081/health"))
    wait_for("the engine says unhealthy", lambda: llm.health() == "unhealthy")
    assert llm.answers("http://127.0.0.1:8081/health")


@pytest.mark.docker
def test_toxiproxy_is_healthy_only_with_the_proxy_enabled(
    start: Callable[..., Running], built: dict[str, Image]
) -> None:
    proxy = start(built["toxiproxy"].reference)
    check = ("/toxiproxy-cli", "inspect", "llm")
    wait_for("the API answers", lambda: proxy.answers(f"{API}/version"))
    assert proxy.ask(*check) == (1, "there is no proxy llm (HTTP 404)")
    made = {"name": "llm", "listen": "127.0.0.1:8080", "upstream": "127.0.0.1:8081"}
    proxy.http("POST", f"{API}/proxies", {**made, "enabled": True})
    assert proxy.ask(*check) == (0, "the proxy llm is enabled")
    proxy.http("POST", f"{API}/proxies/llm", {"enabled": False})
    assert proxy.ask(*check) == (1, "the proxy llm is disabled")


@pytest.fixture
def program(repo: Path) -> Callable[[str], dict[str, Any]]:
    """The names of a health program, without a container around it."""
    return lambda image: runpy.run_path(str(repo / "images" / image / "container" / "health.py"))


def test_injector_is_healthy_while_draws_arrive(
    program: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    complaint, status = program("injector")["complaint"], tmp_path / "status.json"
    now_s = time.time()
    assert "no status yet" in complaint(status, now_s)
    status.write_text(json.dumps({"pid": os.getpid(), "interval_seconds": 10}))
    assert complaint(status, now_s) == ""
    assert complaint(status, now_s + 80) == ""
    assert "no draw for" in complaint(status, now_s + 200)
    status.write_text(json.dumps({"pid": ABSENT_PID, "interval_seconds": 10}))
    assert "has gone" in complaint(status, now_s)


def test_watcher_is_healthy_while_it_makes_progress(
    program: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    complaint = program("watcher")["complaint"]
    now_s = time.time()

    def says(state: str, age_s: float, pid: int = os.getpid()) -> str:
        at = datetime.fromtimestamp(now_s - age_s, UTC).isoformat()
        content = {"pid": pid, "state": state, "updated_at": at}
        (tmp_path / "watcher_status.json").write_text(json.dumps(content))
        return str(complaint(tmp_path, now_s, 900.0))

    assert "no status yet" in complaint(tmp_path, now_s, 900.0)
    assert says("idle", 5) == says("working", 500) == ""
    assert "sign of life" in says("idle", 100)
    assert "sign of life" in says("working", 1000)
    assert "has gone" in says("idle", 5, ABSENT_PID)
    (tmp_path / "watcher_requests").mkdir()
    request = tmp_path / "watcher_requests" / "x.json"
    request.write_text("{}")
    assert says("idle", 5) == ""
    os.utime(request, (now_s - 300, now_s - 300))
    assert "has been waiting" in says("idle", 5)
    assert says("working", 5) == ""
