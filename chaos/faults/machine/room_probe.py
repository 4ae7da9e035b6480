"""Run as a script: can a process as large as the Watcher, under its limit, get more memory?

    room_probe.py SOFT_LIMIT SIZE_BYTES ASK_BYTES

Grows to SIZE_BYTES of address space, sets its own SOFT_LIMIT (-1: none), allocates ASK_BYTES more,
and prints the outcome: ok, or the name of the error. Standard library only.
"""

import errno
import mmap
import resource
import sys
from pathlib import Path

_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def size_bytes() -> int:
    """The address space of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * mmap.PAGESIZE


def main(argv: list[str]) -> int:
    """Allocate, and print the outcome."""
    soft, wanted_bytes, ask_bytes = map(int, argv)
    held = [mmap.mmap(-1, missing, _FLAGS)] if (missing := wanted_bytes - size_bytes()) > 0 else []
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        held.append(mmap.mmap(-1, ask_bytes, _FLAGS))
    except OSError as error:
        print(errno.errorcode.get(error.errno or 0, str(error.errno)))
    else:
        print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
