"""Process trees: their members, signals to them, and waits for their end."""

import contextlib
import os
import select
import signal
import subprocess
import time

from chaos.base.proc import processes, states


def tree(root: int) -> list[int]:
    """PIDs of `root`, its descendants, and the members of the session that it leads.

    The session also has orphans: children of a child that has ended.
    """
    everything = processes()
    pids = [p.pid for p in everything if p.pid == root or p.session == root]
    for pid in pids:  # grows during the loop
        pids += [p.pid for p in everything if p.parent == pid and p.pid not in pids]
    return pids


def ancestors(pid: int | None = None) -> list[int]:
    """`pid` (default: our own process) and its visible ancestors, nearest first."""
    parents = {p.pid: p.parent for p in processes()}
    chain = [os.getpid() if pid is None else pid]
    while parents.get(chain[-1], 0) > 0:
        chain.append(parents[chain[-1]])
    return chain


def send(pids: list[int], signum: signal.Signals) -> None:
    """Send a signal to those of `pids` that still exist."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def await_stopped(pids: list[int], limit_s: float = 2.0) -> None:
    """Wait until every thread of `pids` has stopped: SIGSTOP returns before it has acted."""
    deadline_s = time.monotonic() + limit_s
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(0.001)


def _runs(pid: int) -> bool:
    letters = states(pid)
    return bool(letters.strip("TtZX"))


def await_end(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    """Exit code of our child; None if it still runs after `limit_s`.

    The kernel wakes the wait; `Popen.wait` would poll only every 50 ms.
    """
    if process.poll() is None:
        await_ended([process.pid], limit_s)
    return process.poll()


def await_ended(pids: list[int], limit_s: float) -> list[int]:
    """Wait until each of `pids` has ended with all its threads; returns the others after `limit_s`.

    Not only for our children. Stricter than `await_gone`: a process whose first thread is a zombie
    may still hold sockets until its other threads have ended.
    """
    waiting: dict[int, int] = {}
    poller = select.poll()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            waiting[descriptor] = pid
            poller.register(descriptor, select.POLLIN)
    deadline_s = time.monotonic() + limit_s
    try:
        while waiting and (left_s := deadline_s - time.monotonic()) > 0:
            for descriptor, _ in poller.poll(left_s * 1000):
                poller.unregister(descriptor)
                os.close(descriptor)
                del waiting[descriptor]
        return list(waiting.values())
    finally:
        for descriptor in waiting:
            os.close(descriptor)


def await_gone(pids: list[int], limit_s: float) -> list[int]:
    """Wait until none of `pids` is alive; returns those that still are after `limit_s`."""
    deadline_s = time.monotonic() + limit_s
    while True:
        alive = {p.pid for p in processes()}
        left = [pid for pid in pids if pid in alive]
        if not left or time.monotonic() >= deadline_s:
            return left
        time.sleep(0.005)
