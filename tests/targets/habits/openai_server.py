"""A stand-in for an LLM server that speaks only OpenAI's API: `openai_server.py HOST:PORT`.

It has no /health, wants to be told which model, knows no grammar, and counts no tokens. With
SLOW_S in its environment it takes so long to listen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.answer(200, {"data": [{"id": "stand-in"}]})
        else:
            self.answer(404, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.answer(404, {"error": {"message": "no such path"}})
        elif asked.get("model") != "stand-in":
            self.answer(400, {"error": {"message": "which model?"}})
        else:
            message = {"role": "assistant", "content": f"pid {os.getpid()}"}
            self.answer(200, {"choices": [{"message": message, "finish_reason": "stop"}]})

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True


if __name__ == "__main__":
    time.sleep(float(os.environ.get("SLOW_S", "0")))
    host, _, port = sys.argv[1].rpartition(":")
    Server((host, int(port)), Handler).serve_forever()
