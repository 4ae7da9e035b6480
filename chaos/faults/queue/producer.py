"""A thread that writes into the queue while a fault holds."""

import threading
from collections.abc import Callable

from chaos.base.errors import EnvironmentProblem

_JOIN_LIMIT_S = 5.0


class Producer:
    """Runs `work(stop)` in a thread, which must end soon after `stop` is set."""

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def alive(self) -> bool:
        """True while `work` runs."""
        return self._thread.is_alive()

    def end(self) -> None:
        """Stop and wait. Idempotent. Raises `EnvironmentProblem` if `work` failed or hangs."""
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
        except Exception as error:  # raised again by `end`
            self._failure = error
