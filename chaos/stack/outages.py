"""The services that a fault may have ended, so that their end is not reported as unexpected."""

import threading
from collections import Counter
from collections.abc import Iterable


class Outages:
    """Counts the faults in force that may end a service, by service. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def begin(self, services: Iterable[str]) -> None:
        """A fault that may end these services is about to be injected."""
        with self._lock:
            self._open.update(services)

    def end(self, services: Iterable[str]) -> None:
        """The fault is over, and these services work again."""
        with self._lock:
            self._open.subtract(services)

    def expects(self, service: str) -> bool:
        """True if this service may be down now."""
        with self._lock:
            return self._open[service] > 0
