"""A producer that goes on writing while a fault holds: a thread with an end."""

import threading
from collections.abc import Callable

from chaos.base.errors import EnvironmentProblem

_JOIN_LIMIT_S = 5.0


class Producer:
    """Runs `work(stop)` in a thread; `end` sets `stop` and waits. `work` looks at `stop` often."""

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def alive(self) -> bool:
        """True if it still has something to do."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Stop and wait; idempotent. Raises `EnvironmentProblem` for what went wrong meanwhile."""
        self._stop.set()
        self._thread.join(_JOIN_LIMIT_S)
        if self._thread.is_alive():
            raise EnvironmentProblem("a producer of the fault does not end")
        failure, self._failure = self._failure, None
        if failure is not None:
            raise EnvironmentProblem(f"a producer of the fault failed: {failure!r}") from failure

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except Exception as error:  # told by `end`
            self._failure = error
