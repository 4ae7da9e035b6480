"""PID 1 of the sandbox: starts the run, reaps orphans, and ends with the guardian.

In namespaces, its end makes the kernel kill every process inside. In plain mode it is the subreaper
of all processes of the run, so it finds and kills those that are left, even in other sessions. It
ends when the run ends, and reports the run's exit code through a pipe; or when the lifeline ends.
Standard library only, run as a script by guardian.py. Must not know what the run does.
"""

import os
import select
import signal
import sys
import time
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = {ord("I"): signal.SIGINT, ord("T"): signal.SIGTERM}
_KILL_LIMIT_S = 5.0


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor reports the signal. SIG_IGN would prevent that."""


def _become_subreaper() -> None:
    import ctypes  # not at the top: it costs memory, and only plain mode needs it

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def descendants() -> list[int]:
    """PIDs of all descendants of this process, without zombies, nearest first."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                # The command name, in parentheses, may contain any text: skip it.
                state, parent = stream.read().rpartition(b") ")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z":
            parents[int(name)] = int(parent)
    family = [os.getpid()]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family[1:]


def kill_descendants() -> list[int]:
    """Send SIGKILL to all descendants until none is left. Returns the PIDs killed, sorted."""
    killed: list[int] = []
    deadline_s = time.monotonic() + _KILL_LIMIT_S
    while (remaining := descendants()) and time.monotonic() < deadline_s:
        for pid in remaining:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(pid)
        time.sleep(0.005)
        _reap(0)
    return sorted(set(killed))


def _reap(inner: int) -> int | None:
    """Reap every zombie. Returns the wait status of `inner` if it was among them, else None."""
    inner_status = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return inner_status
        if pid == 0:
            return inner_status
        if pid == inner:
            inner_status = status


def run(command: list[str], lifeline: int) -> int | None:
    """Run `command` to its end, or until the lifeline (a file descriptor) ends.

    Returns the exit code (negative: signal), or None if the lifeline ended.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _ignore)
    inner = os.posix_spawnp(command[0], command, dict(os.environ))
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wake_read in ready:
            received = os.read(wake_read, 512)
            status = _reap(inner)
            if status is not None:
                return os.waitstatus_to_exitcode(status)
            for signum in (signal.SIGTERM, signal.SIGINT):
                if signum in received:
                    os.kill(inner, signum)
        if lifeline in ready:
            letters = os.read(lifeline, 512)
            if not letters:
                return None
            for letter in letters:
                os.kill(inner, _FORWARDED[letter])


def main(argv: list[str]) -> int:
    """Run `init.py MODE LIFELINE REPORT COMMAND...`. LIFELINE and REPORT are file descriptors."""
    mode, lifeline, report, command = argv[0], int(argv[1]), int(argv[2]), argv[3:]
    for descriptor in (lifeline, report):
        os.set_inheritable(descriptor, False)
    if mode == "plain":
        _become_subreaper()
    code = run(command, lifeline)
    if mode == "plain":
        killed = kill_descendants()
        if killed:
            pids = ", ".join(map(str, killed))
            print(f"chaos: ended what the run had left behind: pid {pids}", file=sys.stderr)
    if code is not None:
        try:
            os.write(report, str(code).encode())
        except BrokenPipeError:  # the guardian has just ended
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
