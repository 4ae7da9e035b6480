"""Run as a script: write log lines to a file at a constant rate.

    flood.py PATH BYTES_PER_S LIMIT_S

On a full disk it tries again. It ends by a signal or after LIMIT_S. Standard library only.
"""

import os
import sys
import time

_LINE = b"WARNING flood: the connection was lost, trying again at once; attempt failed as before\n"
_PERIOD_S = 0.02
_CHUNK_BYTES_MAX = 8 << 20  # after a pause it catches up in pieces


def main(argv: list[str]) -> int:
    """Write until the limit."""
    path, bytes_per_s, limit_s = argv[0], float(argv[1]), float(argv[2])
    begin_s = time.monotonic()
    written = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    while (passed_s := time.monotonic() - begin_s) < limit_s:
        due = min(int(passed_s * bytes_per_s) - written, _CHUNK_BYTES_MAX)
        try:
            if due > 0:
                written += os.write(descriptor, _LINE * (due // len(_LINE) + 1))
        except OSError:  # full: try again
            written += due  # lost lines are not made up for later
        time.sleep(_PERIOD_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
