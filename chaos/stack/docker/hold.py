"""Holds the pod: the first program of its PID namespace below the init, ending when asked.

When it ends the kernel ends every process of the pod. It ends on SIGTERM, and by itself after
LIMIT_S, so that a pod whose harness was killed before it could start anything does not stay.
Standard library only: run as a script with `python -S -E`.
"""

import signal
import sys
import threading


def main(argv: list[str]) -> int:
    """`hold.py LIMIT_S`."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait(float(argv[0]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
