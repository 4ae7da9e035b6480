"""A stand-in for llama-server and its supervisor, with scripted failures.

It speaks both protocols over real sockets: `/health` and `/completion` on `endpoint`; `/start`,
`/stop` and `/status` on `control`. Each completion is scripted. test_watcher_real_llm.py uses the
real server.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

# A behaviour answers, or does not answer, one completion: (stand-in, connection, request body).
Behaviour = Callable[["StandIn", socket.socket, dict[str, Any]], None]


def http(status: int, body: Any) -> bytes:
    """A complete HTTP answer. `body` is sent as JSON, or unchanged if it is bytes."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    return head.encode() + payload


LOADING = http(503, {"error": {"message": "Loading model"}})


def completion(content: str, stop_type: str = "eos") -> dict[str, Any]:
    """The body of a completion."""
    return {"content": content, "stop_type": stop_type}


def allowed_answers(grammar: str) -> tuple[str, list[str]]:
    """The JSON key and the values that a question's grammar allows."""
    key = re.search(r'\{\\"(\w+)\\"', grammar)
    values = re.search(r"\(([^)]*)\)", grammar)
    assert key and values, grammar
    return key[1], re.findall(r'"(\w+)"', values[1])


def good(stand_in: StandIn, connection: socket.socket, body: dict[str, Any]) -> None:
    """Answers with the value in `answers`, or else with the first allowed value."""
    key, values = allowed_answers(body["grammar"])
    value = stand_in.answers.get(key, values[0])
    connection.sendall(http(200, completion(json.dumps({key: value}))))


def hang(stand_in: StandIn, connection: socket.socket, _body: dict[str, Any]) -> None:
    """Never answers, until the stand-in or the client closes the connection."""
    connection.settimeout(0.1)
    while not stand_in.closing.wait(0.02):
        with contextlib.suppress(TimeoutError):
            if not connection.recv(1):
                return


def trickle(stand_in: StandIn, connection: socket.socket, _body: dict[str, Any]) -> None:
    """Sends one byte at a time for ever, so that every read of the client succeeds."""
    with contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stand_in.closing.wait(0.02):
            connection.sendall(b" ")


def reset(_stand_in: StandIn, connection: socket.socket, _body: dict[str, Any]) -> None:
    """Closes with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(_stand_in: StandIn, _connection: socket.socket, _body: dict[str, Any]) -> None:
    """Closes without an answer."""


def raw(data: bytes) -> Behaviour:
    """A behaviour that sends these bytes."""

    def behave(_stand_in: StandIn, connection: socket.socket, _body: dict[str, Any]) -> None:
        connection.sendall(data)

    return behave


def gate(opened: threading.Event, then: Behaviour = good) -> Behaviour:
    """A behaviour that waits for the event (or the end), then does `then`."""

    def behave(stand_in: StandIn, connection: socket.socket, body: dict[str, Any]) -> None:
        while not opened.wait(0.02) and not stand_in.closing.is_set():
            pass
        then(stand_in, connection, body)

    return behave


class StandIn:
    """Both servers, in threads. Records the requests."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self.running = True
        self.still_loading = False  # while True, the running server answers 503
        self.looks = 0  # number of health probes
        self.generation = 1
        self.default: Behaviour = good
        self.script: deque[Behaviour] = deque()  # the next completions; then `default`
        self.answers: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []
        self.clients: list[int] = []  # the client's port of each completion
        self.commands: list[str] = []
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.endpoint = self._listen(self._serve_llm)
        self.control = self._listen(self._serve_control)

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.closing.set()
        for listener in self._sockets:
            listener.close()
        for thread in self._threads:
            thread.join(5)

    def _listen(self, serve: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.1)
        self._sockets.append(listener)
        self._spawn(lambda: self._accept(listener, serve))
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def _spawn(self, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._spawn(lambda c=connection: self._guarded(c, serve))  # type: ignore[misc]

    def _guarded(self, connection: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            serve(connection)

    def _serve_llm(self, connection: socket.socket) -> None:
        client: int = connection.getpeername()[1]
        line, body = _read(connection)
        if not self.running:
            return  # like a proxy without an upstream: closes the connection
        if line.startswith("GET /health"):
            self.looks += 1
            if self.still_loading:
                connection.sendall(LOADING)
                return
            connection.sendall(http(200, {"status": "ok"}))
            return
        question = json.loads(body)
        self.asked.append(question)
        self.clients.append(client)
        if self.still_loading:
            connection.sendall(LOADING)
            return
        behave = self.script.popleft() if self.script else self.default
        behave(self, connection, question)

    def _serve_control(self, connection: socket.socket) -> None:
        line, _ = _read(connection)
        command = line.split()[1].strip("/")
        if command == "start" and not self.running:
            self.running = True
            self.generation += 1
        elif command == "stop":
            self.running = False
        if command != "status":
            self.commands.append(command)
        state = {
            "state": "running" if self.running else "stopped",
            "pid": 1000 + self.generation if self.running else None,
            "generation": self.generation,
            "healthy": self.running and not self.still_loading,
        }
        connection.sendall(http(200, state))


def _read(connection: socket.socket) -> tuple[str, bytes]:
    """Request line and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            raise OSError("client went away")
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head.decode().splitlines()[0], body
