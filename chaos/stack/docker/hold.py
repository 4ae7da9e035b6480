"""The program that holds the pod: the first one of its PID namespace below the init.

When it ends, the kernel ends every process of the pod. It ends on SIGTERM, and after LIMIT_S, so
that a pod does not stay if its harness was killed at once. Standard library only: run as a script
with `python -S -E`.
"""

import signal
import sys
import threading


def main(argv: list[str]) -> int:
    """`hold.py LIMIT_S`."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait(float(argv[0]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
