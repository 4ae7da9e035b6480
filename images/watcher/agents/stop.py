"""Stops the daemon: on SIGTERM, SIGINT, or the halt flag in the workspace.

Every wait of the daemon goes through `Stop.pause`, so it ends at once when asked to. Knows nothing
of what is waited for.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

from loguru import logger

from agents.files import describe, is_exhausted

SLICE_S = 0.1  # the longest time between two checks of the halt flag
PATIENCE_FIRST_S = 0.25
PATIENCE_CAP_S = 5.0

T = TypeVar("T")


class Halted(Exception):
    """The daemon must stop; raised out of any wait, with the reason."""


class Stop:
    """Watches for SIGTERM, SIGINT and the halt flag.

    The signal handler only stores the signal's name, and a pipe wakes the wait. A lock taken in a
    signal handler could deadlock with the code that it interrupted.
    """

    def __init__(self, flag: Path | None) -> None:
        """`flag`: path of the halt flag; None: only signals count."""
        self.flag = flag
        self.chore: Callable[[], None] = lambda: None  # called by every `check`: must be short
        self._signal = ""
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """Installs the signal handlers. Main thread only."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name

    def reason(self) -> str:
        """Why the daemon must stop; "" if it must not."""
        if self._signal:
            return self._signal
        return "halt flag" if self.flag and os.path.lexists(self.flag) else ""

    def check(self) -> None:
        """Raises Halted if the daemon must stop."""
        reason = self.reason()
        if reason:
            raise Halted(reason)
        self.chore()

    def pause(self, seconds: float) -> None:
        """Waits `seconds`, or raises Halted as soon as the daemon must stop."""
        deadline_s = time.monotonic() + seconds
        while True:
            self.check()
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                return
            select.select([self._wake_read], [], [], min(remaining_s, SLICE_S))
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 512)


def patiently(stop: Stop, what: str, step: Callable[[], T]) -> T:
    """Retries an idempotent step, with backoff, while the machine is exhausted.

    Exhausted: no disk space, descriptors or memory. Raises Halted when asked to stop, and every
    other OSError at once. `what` names the step in the log.
    """
    delay_s = PATIENCE_FIRST_S
    while True:
        try:
            return step()
        except (OSError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            logger.warning("{}: {}; next try in {:.2f} s", what, describe(error), delay_s)
        stop.pause(delay_s)
        delay_s = min(delay_s * 2, PATIENCE_CAP_S)
