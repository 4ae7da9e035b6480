"""A Watcher of a few lines, for tests of the stack: prepares, gets ready, has a child, obeys TERM.

What it does beyond that is read from `tiny.json` in its working directory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CHILD = "import time; time.sleep(600)"


def settings() -> dict[str, object]:
    path = Path("tiny.json")
    return json.loads(path.read_text()) if path.exists() else {}


def status(name: str) -> None:
    part = Path(f".{name}.part")
    part.write_text(json.dumps({"pid": os.getpid(), "interval": os.environ["TINY_INTERVAL"]}))
    part.replace(f"{name}_status.json")


def main() -> int:
    command, wanted = sys.argv[1], settings()
    if command == "prepare":
        Path("prepared.json").write_text(Path("policies.json").read_text())
        return int(str(wanted.get("prepare_exit", 0)))
    if wanted.get("dies"):
        print("tiny: cannot go on", file=sys.stderr)
        return 7
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if wanted.get("never_ready"):
        time.sleep(600)
    if command == "watch":
        # A worker that leaves the session, as careless daemons do.
        subprocess.Popen([sys.executable, "-S", "-c", CHILD], start_new_session=True)
    status("watcher" if command == "watch" else "injector")
    time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
