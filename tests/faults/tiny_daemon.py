"""A Watcher and an injector of a few lines, with the files of the reference target.

    tiny_daemon.py watcher | injector

Stands for the real programs where only their being there, and what they write, is tested.
Options (`tiny.json` in the working directory): `no_lock` a second one is let in; `stubborn`
SIGTERM is ignored; `work` a child of the Watcher works on the claimed request for so many seconds;
`dies` it ends at its start; `fragile` it ends when its log cannot be opened, by an exception or
(`silent`) without a word.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BEAT_S = 0.05
QUEUE = Path("watcher_requests")


def replace(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value))
    part.replace(path)


def only_one() -> int:
    """The lock, or the end with exit code 4."""
    handle = os.open("watcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another one works here", file=sys.stderr)
        sys.exit(4)
    os.pwrite(handle, json.dumps({"pid": os.getpid()}).encode().ljust(64), 0)
    return handle


def work(seconds: float) -> None:
    """Claim a request, have a child work on it, decide, archive."""
    for path in sorted((QUEUE / "claimed").glob("*.json")) or sorted(QUEUE.glob("*.json")):
        claimed = QUEUE / "claimed" / path.name
        path.rename(claimed)
        subprocess.run(
            [sys.executable, "-S", "-c", f"import time; time.sleep({seconds})"], check=True
        )
        with Path("watcher_decisions.jsonl").open("a") as log:
            log.write(json.dumps({"request_file": path.name}) + "\n")
        claimed.rename(QUEUE / "archive" / path.name)


def watch(options: dict[str, Any]) -> None:
    lock = None if options.get("no_lock") else only_one()
    for folder in (QUEUE / "claimed", QUEUE / "archive", Path("logs")):
        folder.mkdir(parents=True, exist_ok=True)
    replace(Path("watcher_status.json"), {"pid": os.getpid()})
    while True:
        time.sleep(BEAT_S)
        try:
            with Path("logs/watcher_agent.log").open("a") as log:
                log.write(f"poll {lock}\n")
        except OSError:
            if options.get("fragile") == "silent":
                sys.exit(3)
            if options.get("fragile"):
                raise
        if options.get("work"):
            work(float(options["work"]))


def inject() -> None:
    replace(Path("injector_status.json"), {"pid": os.getpid()})
    history = Path("lottery_history.json")
    every_s = json.loads(Path("watcher_policies.json").read_text())["synthetic_injection"]
    while True:
        time.sleep(every_s["interval_seconds"])
        draws = json.loads(history.read_text())["draws"] if history.exists() else []
        replace(history, {"draws": [*draws, {"value": 1}]})


def main() -> int:
    path = Path("tiny.json")
    options = json.loads(path.read_text()) if path.exists() else {}
    if options.get("dies"):
        print("tiny: cannot start", file=sys.stderr)
        return 7
    if options.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watch(options) if sys.argv[1] == "watcher" else inject()
    return 0


if __name__ == "__main__":
    sys.exit(main())
