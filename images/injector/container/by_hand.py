"""Starts the draw injector in a workspace that another container prepares.

Waits, with a limit, for the two files that the injector needs (the Watcher's container writes
them), then execs the injector. Run it in the workspace. Standard library only; must not know the
harness.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

NEEDED = ("watcher_policies.json", "lottery_history.json")
PROGRAM = Path(__file__).resolve().parents[1] / "synthetic_draw_injector.py"
LOOK_S = 0.2


def wait_for(names: tuple[str, ...], limit_s: float) -> list[str]:
    """Wait until all files exist. Returns those that are still missing after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while missing := [name for name in names if not Path(name).is_file()]:
        if time.monotonic() > deadline_s:
            return missing
        time.sleep(LOOK_S)
    return []


def main() -> int:
    """Wait for the files, then exec the injector. Returns the exit code 1 if they do not come."""
    limit_s = float(os.environ.get("CHAOS_WORKSPACE_LIMIT_S", "300"))
    missing = wait_for(NEEDED, limit_s)
    if missing:
        print(
            f"injector: {', '.join(missing)} not in {Path.cwd()} after {limit_s:g} s: "
            "see the log of the watcher's container, which writes them",
            file=sys.stderr,
        )
        return 1
    interval_s = os.environ.get("CHAOS_DRAW_INTERVAL_S") or "30"
    argv = [sys.executable, str(PROGRAM), "--daemon", "--interval", interval_s]
    os.execv(argv[0], argv)


if __name__ == "__main__":
    sys.exit(main())
