"""Outages: which services a fault may have ended, so that nobody takes it for an accident."""

import threading
from collections import Counter
from collections.abc import Iterable


class Outages:
    """Counts, by service, the faults that may end it just now. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def begin(self, services: Iterable[str]) -> None:
        """A fault that may end these is about to act."""
        with self._lock:
            self._open.update(services)

    def end(self, services: Iterable[str]) -> None:
        """It is over, and they have been seen at work again."""
        with self._lock:
            self._open.subtract(services)

    def expects(self, service: str) -> bool:
        """True if this service may be absent."""
        with self._lock:
            return self._open[service] > 0
