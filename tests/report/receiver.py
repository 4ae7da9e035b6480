"""A server on loopback that keeps what is sent to it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "s3cr3t"
Answer = tuple[int, dict[str, str]]


class Receiver:
    """A server on loopback. `answers` are given in turn; the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(204, {})]
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.hang: threading.Event | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, dict(self.headers), json.loads(body)))
                if receiver.hang is not None:
                    receiver.hang.wait()
                many = len(receiver.answers) > 1
                code, headers = receiver.answers.pop(0) if many else receiver.answers[0]
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://user:{SECRET}@127.0.0.1:{self.server.server_port}/hook/{SECRET}?t={SECRET}"

    def close(self) -> None:
        if self.hang is not None:
            self.hang.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
