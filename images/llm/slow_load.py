"""Answers like llama.cpp's server while its model loads, for a given time.

Every request gets 503, "Loading model". Knows nothing of models.
"""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BODY = json.dumps(
    {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
).encode()
_POLL_S = 0.5
_QUESTION_BYTES_MAX = 1 << 20


class _Loading(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5.0  # so that a client that sends nothing does not hold a thread for ever

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if length.isdigit():  # closing with unread data would reset the connection
            self.rfile.read(min(int(length), _QUESTION_BYTES_MAX))
        self.send_response(503)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(_BODY)))
        # The real server takes over the port, so no connection may stay open.
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(_BODY)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    # The real server binds the port while our connections are still in TIME_WAIT.
    allow_reuse_port = True


def answer_loading(host: str, port: int, delay_s: float) -> None:
    """Answer for `delay_s`, then free the port. Raises `OSError` if the port is taken."""
    end_s = time.monotonic() + delay_s
    with _Server((host, port), _Loading) as server:
        while (left_s := end_s - time.monotonic()) > 0:
            server.timeout = min(left_s, _POLL_S)
            server.handle_request()
