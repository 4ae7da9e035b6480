"""The health check of the image, for an injector that was started by hand: does it add draws?

The injector writes its status file when it is ready and after each draw. It is unhealthy if the
file is older than three intervals and a minute. Standard library only; must not know the harness.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

STATUS = Path("/workspace/injector_status.json")
INTERVALS_MAX = 3
SLACK_S = 60.0


def complaint(status: Path, now_s: float) -> str:
    """Return the problem, or "" if the injector is healthy. `now_s`: Unix time."""
    try:
        age_s = now_s - status.stat().st_mtime
        content = json.loads(status.read_bytes())
        pid, interval_s = int(content["pid"]), float(content["interval_seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"no status yet: {error!r}"
    if not Path(f"/proc/{pid}").exists():
        return f"the injector (pid {pid}) has gone"
    limit_s = INTERVALS_MAX * interval_s + SLACK_S
    if age_s > limit_s:
        return f"no draw for {age_s:.0f} s, with one every {interval_s:g} s"
    return ""


def main() -> int:
    """Print the result; exit code 0 if healthy, else 1."""
    problem = complaint(STATUS, time.time())
    print(problem or "healthy")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
