"""Run as a script: keeps one processor busy with COUNT processes, for SECONDS at most.

    burner.py CPU COUNT SECONDS TOKEN

Each process has a session of its own, because the kernel may share time between sessions
(autogroup). They end with their parent, and that ends with its own parent. TOKEN makes them
recognizable. Standard library only.
"""

import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_ROUNDS = 200_000


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _burn(parent: int, cpu: int, end_s: float) -> None:
    _die_with(parent)
    os.setsid()
    os.sched_setaffinity(0, {cpu})
    while time.monotonic() < end_s:
        for _ in range(_ROUNDS):
            pass
    os._exit(0)


def main(argv: list[str]) -> int:
    """Start the processes and wait for their end."""
    cpu, count, seconds = int(argv[0]), int(argv[1]), float(argv[2])
    end_s, ours = time.monotonic() + seconds, os.getpid()
    _die_with(os.getppid())
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            _burn(ours, cpu, end_s)
        children.append(child)
    print("burning", flush=True)
    for child in children:
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
