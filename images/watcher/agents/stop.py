"""The wish to stop: a signal, or the halt flag in the workspace.

Every wait of the daemon goes through `Stop.pause`, so it ends at once when asked to.
Knows nothing of what is being waited for.
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

from agents.files import is_exhausted, said_by

SLICE_S = 0.1  # the longest time between two looks at the halt flag
PATIENCE_FIRST_S = 0.25
PATIENCE_CAP_S = 5.0

T = TypeVar("T")


class Halted(Exception):
    """Raised out of any wait when the daemon shall stop; carries the reason."""


class Stop:
    """Watches for SIGTERM, SIGINT and the halt flag.

    The handler only stores a name and wakes the wait through a pipe: taking a lock in a
    signal handler could deadlock with the code it interrupted.
    """

    def __init__(self, flag: Path | None) -> None:
        """`flag` None: only signals count."""
        self.flag = flag
        self.chore: Callable[[], None] = _nothing  # short; done in every wait
        self._signal = ""
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """Takes SIGTERM and SIGINT; main thread only."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name

    def reason(self) -> str:
        """Why the daemon shall stop; empty when it shall go on."""
        if self._signal:
            return self._signal
        return "halt flag" if self.flag and os.path.lexists(self.flag) else ""

    def check(self) -> None:
        """Raises Halted when the daemon shall stop."""
        reason = self.reason()
        if reason:
            raise Halted(reason)
        self.chore()

    def pause(self, seconds: float) -> None:
        """Waits that long, or raises Halted as soon as the daemon shall stop."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            select.select([self._wake_read], [], [], min(left, SLICE_S))
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 512)


def _nothing() -> None:
    pass


def patiently(stop: Stop, what: str, step: Callable[[], T]) -> T:
    """Repeats an idempotent step while the machine is exhausted (disk, descriptors, memory).

    Raises Halted when asked to stop meanwhile, and every other OSError at once.
    """
    delay_s = PATIENCE_FIRST_S
    while True:
        try:
            return step()
        except (OSError, MemoryError) as error:
            if not is_exhausted(error):
                raise
            logger.warning("{}: {}; next try in {:.2f} s", what, said_by(error), delay_s)
        stop.pause(delay_s)
        delay_s = min(delay_s * 2, PATIENCE_CAP_S)
