"""A supervisor under test, on free ports."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[2]
PROGRAM = REPO / "images" / "llm" / "supervisor.py"
STANDIN = Path(__file__).with_name("standin_server.py")
LIMIT_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def exists(pid: int) -> bool:
    """True if process `pid` runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Supervisor:
    """A supervisor process and its control API. `standin`: modes of the stand-in server."""

    def __init__(self, folder: Path, model: Path, *options: str, standin: str | None = None):
        self.folder = folder
        self.events_path = folder / "events.jsonl"
        self.log = folder / "llm.log"
        self.control, self.port = free_port(), free_port()
        server = ["--", f"--binary={STANDIN}"] if standin is not None else []
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(PROGRAM),
                f"--control=127.0.0.1:{self.control}",
                f"--port={self.port}",
                f"--model={model}",
                f"--events={self.events_path}",
                f"--log={self.log}",
                *options,
                *server,
            ],
            env={**os.environ, "STANDIN": standin or ""},
            stdout=subprocess.DEVNULL,
        )
        wait_for("the control API answers", self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, "the supervisor ended"
        try:
            return bool(self.ask("GET", "/status"))
        except OSError:
            return False

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        link = http.client.HTTPConnection("127.0.0.1", self.control, timeout=LIMIT_S)
        try:
            link.request(method, path, None if body is None else json.dumps(body))
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        status, content = self.request(method, path, body)
        assert status == 200, content
        return content

    def status(self) -> dict[str, Any]:
        return self.ask("GET", "/status")

    def await_healthy(self) -> dict[str, Any]:
        status: dict[str, Any] = wait_for(
            "the server is healthy", lambda: (s := self.status())["healthy"] and s
        )
        return status

    def events(self) -> list[str]:
        if not self.events_path.exists():
            return []
        return [json.loads(line)["event"] for line in self.events_path.read_text().splitlines()]

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
