"""The supervisor's control API over HTTP: `/start`, `/stop`, `/status` and `/faults`.

Starts and stops are queued for the main thread, which owns the server. Knows no process.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol

from faults import Faults

_BODY_BYTES_MAX = 4096
_DONE = {"start": "started", "stop": "stopped"}


class Controlled(Protocol):
    """The server as far as other threads may use it. `faults` is replaced as a whole."""

    faults: Faults

    def snapshot(self) -> dict[str, Any]:
        """State, pid, generation and counters, all of the same moment."""

    def healthy(self) -> bool:
        """True if the server answers."""


@dataclass
class Command:
    """One control request for the main thread, which sets `done`."""

    name: Literal["start", "stop"]
    done: threading.Event = field(default_factory=threading.Event)
    denied: bool = False


class Control(ThreadingHTTPServer):
    """The control API's HTTP server. `limit_s`: how long a request waits for the main thread."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(
        self,
        address: tuple[str, int],
        server: Controlled,
        commands: queue.Queue[Command],
        limit_s: float,
    ) -> None:
        super().__init__(address, ControlHandler)
        self.server_process = server
        self.commands = commands
        self.limit_s = limit_s


class ControlHandler(BaseHTTPRequestHandler):
    """Answers one control request."""

    server: Control
    timeout = 10.0  # so that a client that sends nothing does not hold a thread for ever

    def do_GET(self) -> None:
        """Answer `/status` and `/faults`."""
        if self.path == "/faults":
            self._answer(200, asdict(self.server.server_process.faults))
            return
        server = self.server.server_process
        status = server.snapshot()
        if self.path == "/pid":  # without asking the server, which may hang
            self._answer(200, status)
            return
        if self.path != "/status":
            self._answer(404, {"error": f"unknown path {self.path}; known: /status, /pid, /faults"})
            return
        self._answer(200, {**status, "healthy": server.healthy()})

    def do_PUT(self) -> None:
        """Set the faults (`/faults`)."""
        if self.path != "/faults":
            self._answer(404, {"error": f"unknown path {self.path}; known: /faults"})
            return
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            self._answer(400, {"error": f"a body of at most {_BODY_BYTES_MAX} bytes is needed"})
            return
        try:
            faults = Faults.parse(json.loads(self.rfile.read(int(length))))
        except (ValueError, RecursionError, OSError) as error:
            self._answer(400, {"error": str(error)})
            return
        self.server.server_process.faults = faults
        self._answer(200, asdict(faults))

    def do_POST(self) -> None:
        """Execute `/start` or `/stop` in the main thread, and answer with the new status."""
        name = self.path.removeprefix("/")
        if name not in ("start", "stop"):
            self._answer(404, {"error": f"unknown path {self.path}; known: /start, /stop"})
            return
        command = Command("start" if name == "start" else "stop")
        try:
            self.server.commands.put_nowait(command)
        except queue.Full:
            self._answer(503, {"error": "too many requests are waiting"})
            return
        if not command.done.wait(self.server.limit_s):
            self._answer(504, {"error": f"{name} did not end within {self.server.limit_s:g} s"})
            return
        if command.denied:
            self._answer(503, {"error": f"no server can be {_DONE[name]} now"})
            return
        self._answer(200, self.server.server_process.snapshot())

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: starts and stops are recorded as events."""

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode() + b"\n"
        with contextlib.suppress(OSError):  # the client has closed the connection
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
