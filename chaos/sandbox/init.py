"""PID 1 of the sandbox: starts the run, reaps orphans, and ends with the guardian.

In namespaces its own end makes the kernel kill whatever is inside. In plain mode it is the
subreaper of everything the run starts, so that it can find and kill what is left, also processes
that left their session. Ends when the run ends, whose exit code it reports through a pipe, or
when the lifeline does. Standard library only; run as a script by guardian.py.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = {ord("I"): signal.SIGINT, ord("T"): signal.SIGTERM}
_KILL_LIMIT_S = 5.0


def _noted(signum: int, frame: FrameType | None) -> None:
    """A handler that does nothing: the wake-up descriptor carries the news."""


def _become_subreaper() -> None:
    import ctypes  # here: it costs memory, and is needed in plain mode only

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def descendants() -> list[int]:
    """All processes below this one, nearest first."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                # The command name, in parentheses, may contain anything: read after its end.
                state, parent = stream.read().rpartition(b") ")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z":
            parents[int(name)] = int(parent)
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def kill_descendants() -> list[int]:
    """SIGKILL everything below this process until nothing is left; returns the pids killed."""
    killed: list[int] = []
    deadline_s = time.monotonic() + _KILL_LIMIT_S
    while (left := descendants()) and time.monotonic() < deadline_s:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(pid)
        time.sleep(0.005)
        _reap(0)
    return sorted(set(killed))


def _reap(inner: int) -> int | None:
    """Reap every zombie; the wait status of `inner` if it was among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == inner:
            found = status


def run(command: list[str], lifeline: int) -> int | None:
    """Run `command` to its end: its exit code (negative: signal). None if the lifeline ended."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _noted)
    inner = os.posix_spawnp(command[0], command, dict(os.environ))
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wake_read in ready:
            seen = os.read(wake_read, 512)
            status = _reap(inner)
            if status is not None:
                return os.waitstatus_to_exitcode(status)
            for signum in (signal.SIGTERM, signal.SIGINT):
                if signum in seen:
                    os.kill(inner, signum)
        if lifeline in ready:
            asked = os.read(lifeline, 512)
            if not asked:
                return None
            for letter in asked:
                os.kill(inner, _FORWARDED[letter])


def main(argv: list[str]) -> int:
    """`init.py MODE LIFELINE REPORT COMMAND...`; the two are descriptors."""
    mode, lifeline, report, command = argv[0], int(argv[1]), int(argv[2]), argv[3:]
    for descriptor in (lifeline, report):
        os.set_inheritable(descriptor, False)
    if mode == "plain":
        _become_subreaper()
    code = run(command, lifeline)
    if mode == "plain":
        killed = kill_descendants()
        if killed:
            words = ", ".join(map(str, killed))
            print(f"chaos: ended what the run had left behind: pid {words}", file=sys.stderr)
    if code is not None:
        try:
            os.write(report, str(code).encode())
        except BrokenPipeError:  # the guardian ended just now, and nobody is left to be told
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
