#!/usr/bin/env python3
"""A stand-in for a llama-server that misbehaves in a scripted way.

It takes llama-server's options. STANDIN, a space-separated list, sets its behaviour: ignore-term,
crash, loading (503 for ever), hang (`/health` never answers), mute (healthy, but a completion never
ends), chatty (logs without end).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODES = os.environ.get("STANDIN", "").split()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if "hang" in MODES:
            time.sleep(60)
        self.send_response(503 if "loading" in MODES else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if "mute" in MODES:
            time.sleep(60)
        body = b'{"content": "x", "tokens_predicted": 1}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True


def main() -> None:
    if "crash" in MODES:
        sys.exit("stand-in: cannot load the model")
    if "ignore-term" in MODES:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "chatty" in MODES:
        threading.Thread(target=lambda: [print("x" * 200) for _ in range(2000)]).start()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
