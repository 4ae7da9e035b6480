"""A stand-in for a daemon that runs its own LLM server: `own_llm_daemon.py ENDPOINT`.

It starts the server by a script at a fixed path and ends it by its PID file, both whenever the file
`cycle` is there, and starts another one when nobody answers at ENDPOINT. `twice` makes it start a
second one beside the first. It leaves the server running when it ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SCRIPT = "./start_llm.sh"


def answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{endpoint}/health", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def start(endpoint: str) -> None:
    subprocess.run(["sh", SCRIPT], check=True)
    end_s = time.monotonic() + 20
    while not answers(endpoint) and time.monotonic() < end_s:
        time.sleep(0.05)


def stop() -> None:
    os.kill(int(Path("llm.pid").read_text()), signal.SIGTERM)


def main(endpoint: str) -> None:
    start(endpoint)
    Path("ready").touch()
    while True:
        time.sleep(0.1)
        if Path("twice").exists():
            Path("twice").unlink()
            subprocess.run(["sh", SCRIPT], check=True)
        if Path("cycle").exists():
            stop()
            Path("cycle").unlink()
        if not answers(endpoint):
            start(endpoint)


if __name__ == "__main__":
    main(sys.argv[1])
