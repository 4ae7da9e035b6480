"""Execute a run as a child process, for callers that continue afterwards (a gate, a replay).

The child becomes the guardian of its run, in a process group of its own. So Ctrl-C in a terminal
reaches only the parent, which forwards it. When the parent dies, even by SIGKILL, the kernel sends
the child SIGTERM: the run then recovers its faults and ends. Knows nothing of gates.
"""

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Self

import psutil

from chaos.base.proc import dying_with_us, end
from chaos.record.owner import claim
from chaos.runner.launch import RUN_SIGNALS, Prepared, signals_held

_END_LIMIT_S = 60.0  # from a signal to the end of the child


class Interrupts:
    """While entered, every run signal sets `event` and is forwarded to the running children."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._children: list[subprocess.Popen[bytes]] = []
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in RUN_SIGNALS:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.event.set()
        for child in list(self._children):
            child.send_signal(number)

    def watch(self, child: subprocess.Popen[bytes]) -> None:
        """Forward signals to `child` from now on, also one that has come already."""
        self._children.append(child)
        if self.event.is_set():
            child.send_signal(signal.SIGINT)

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """Forward no more: the child has ended."""
        self._children.remove(child)


def run_child(
    prepared: Prepared, interrupts: Interrupts, limit_s: float, *, silent: bool = False
) -> int:
    """Start the run and wait for its end; returns its exit code. `silent`: discard its stdout.

    After `limit_s` the run gets SIGTERM, then SIGKILL; the kernel then ends what it started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with signals_held(prepared):
        child = subprocess.Popen(
            [*dying_with_us("TERM"), *prepared.argv],
            env=prepared.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if silent else None,
            process_group=0,
        )
    interrupts.watch(child)
    try:
        with suppress(psutil.NoSuchProcess):  # it has ended, so the run needs no owner
            claim(prepared.run, child.pid)
        return _awaited(child, limit_s)
    finally:
        interrupts.forget(child)
        if child.poll() is None:
            child.kill()
            child.wait()


def _awaited(child: subprocess.Popen[bytes], limit_s: float) -> int:
    with suppress(subprocess.TimeoutExpired):
        return child.wait(limit_s)
    end(child, _END_LIMIT_S)
    return child.wait()
