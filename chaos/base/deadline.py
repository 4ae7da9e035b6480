"""A limit on a wait that can also be cancelled. Every loop of the harness that waits has one."""

import threading
import time


class Deadline:
    """`limit_s` from now, or until `cancel` is set, whichever comes first."""

    def __init__(self, limit_s: float, cancel: threading.Event | None = None) -> None:
        self.limit_s = limit_s
        self._end_s = time.monotonic() + limit_s
        self._cancel = cancel or threading.Event()

    def left_s(self) -> float:
        """Seconds left, never negative."""
        return 0.0 if self._cancel.is_set() else max(0.0, self._end_s - time.monotonic())

    def renew(self) -> None:
        """Let the limit begin again; a cancelled wait stays over."""
        self._end_s = time.monotonic() + self.limit_s

    def expired(self) -> bool:
        """True if the wait is over."""
        return self.left_s() == 0.0

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` between two looks at the evidence; False once expired."""
        self._cancel.wait(min(seconds, self.left_s()))
        return not self.expired()
