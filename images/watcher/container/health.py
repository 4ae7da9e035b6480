"""The health check of the image: does the Watcher make progress?

The daemon writes its status when its state changes, and every few seconds while idle. It is
unhealthy if it is idle with an old status, if it works on one request for longer than a dispatch
may take, or if it is idle while a request waits. Standard library only; must not know the harness.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path

WORKSPACE = Path("/workspace")
STATUS = "watcher_status.json"
QUEUE = "watcher_requests"
IDLE_AGE_MAX_S = 60.0
WAITING_MAX_S = 180.0


def complaint(workspace: Path, now_s: float, working_max_s: float) -> str:
    """Return the problem, or "" if the Watcher is healthy. `now_s`: Unix time."""
    try:
        status = json.loads((workspace / STATUS).read_bytes())
        state, pid = str(status["state"]), int(status["pid"])
        age_s = now_s - datetime.fromisoformat(status["updated_at"]).timestamp()
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"no status yet: {error!r}"
    if not Path(f"/proc/{pid}").exists():
        return f"the Watcher (pid {pid}) has gone"
    limit_s = working_max_s if state == "working" else IDLE_AGE_MAX_S
    if age_s > limit_s:
        return f"{state} for {age_s:.0f} s without a sign of life"
    waiting_s = oldest_request_s(workspace / QUEUE, now_s)
    if state == "idle" and waiting_s > WAITING_MAX_S:
        return f"idle, and a request has been waiting for {waiting_s:.0f} s"
    return ""


def oldest_request_s(queue: Path, now_s: float) -> float:
    """Age of the oldest pending request in seconds; 0 without one."""
    oldest_s = 0.0
    for path in queue.glob("*.json"):
        try:
            oldest_s = max(oldest_s, now_s - path.stat().st_mtime)
        except OSError:
            continue  # claimed since it was listed
    return oldest_s


def main() -> int:
    """Print the result; exit code 0 if healthy, else 1."""
    # A dispatch may take 600 s, and the LLM is asked before and after it.
    working_max_s = float(os.environ.get("CHAOS_WORKING_LIMIT_S", "900"))
    problem = complaint(WORKSPACE, time.time(), working_max_s)
    print(problem or "healthy")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
