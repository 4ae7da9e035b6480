"""A small real HTTP server: answers in the forms in which an LLM server answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMPLETION = {"content": '{"verdict":"promote"}', "stop": True, "stop_type": "eos", "id_slot": 0}
TOKENS = ["one", "two", "three", "four", "five"]
NOISE = bytes(range(256)) * 1200  # 300 kB, more than any buffer on the way


def completion_bytes() -> bytes:
    return json.dumps(COMPLETION, separators=(",", ":")).encode()


def events() -> list[bytes]:
    """The blocks of the streamed answer."""
    return [b"data: " + json.dumps({"content": text}).encode() + b"\n\n" for text in TOKENS]


@dataclass
class Upstream:
    """What the server saw. `gate` holds streamed answers after their second event while clear."""

    port: int = 0
    requests: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    clients_gone: threading.Event = field(default_factory=threading.Event)


@contextmanager
def upstream() -> Iterator[Upstream]:
    """GET /health, POST /completion (JSON), POST /stream (SSE), /noise, /echo, /silent."""
    state = Upstream()
    state.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append((self.command, self.path, body, dict(self.headers.items())))
            path = self.path.partition("?")[0]
            if path == "/stream":
                self.stream()
            elif path == "/silent":
                self.silent()
            else:
                content = {"/noise": NOISE, "/echo": body, "/health": b'{"status":"ok"}'}
                self.whole(content.get(path, completion_bytes()))

        do_GET = do_POST = do_HEAD = answer

        def whole(self, content: bytes) -> None:
            self.send_response(201 if self.path == "/echo" else 200)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Own", "kept")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number, block in enumerate(events()):
                if number == 2:
                    state.gate.wait(20)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
            self.wfile.write(b"0\r\n\r\n")

        def silent(self) -> None:
            """Never answers; notices when the other side closes."""
            self.connection.settimeout(20)
            if not self.connection.recv(1):
                state.clients_gone.set()
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients break off here
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
