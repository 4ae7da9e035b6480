"""Run as a script: how much of a processor does a busy process get where the Watcher may run?

    share_probe.py SECONDS CPU...

Confines itself to the CPUs, is busy for SECONDS in a session of its own (as the Watcher's child
processes are), and prints the part of that time in which it ran. Standard library only.
"""

import os
import sys
import time

_ROUNDS = 2_000


def main(argv: list[str]) -> int:
    """Be busy, and print the part of the time in which it ran."""
    seconds, cpus = float(argv[0]), {int(cpu) for cpu in argv[1:]}
    if os.getpid() != os.getsid(0):
        os.setsid()
    os.sched_setaffinity(0, cpus)
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    while (passed_s := time.monotonic() - start_s) < seconds:
        for _ in range(_ROUNDS):
            pass
    print(round((time.process_time() - start_cpu_s) / passed_s, 4))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
