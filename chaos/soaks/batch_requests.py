"""Soak B's workload without a daemon: batch commands run in sequence until all requests are done.

Source: the plan, section 5, "No-Daemon Batch Mode". Each invocation has a timeout, and is recorded
with its duration and exit code. The number of invocations is limited.
"""

from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.record.history import HistoryWriter
from chaos.record.target import BatchSpec, Target
from chaos.soaks.sequential_requests import SequentialRequests
from chaos.soaks.settings import number
from chaos.soaks.waiting import drain
from chaos.stack.base import Service, Stack

_WORKING = "the batch command"


class BatchRequests(SequentialRequests):
    """Submits soak B's ten requests, and runs the target's batch command as service `watcher`.

    Settings: `batch_invocations_max`.
    """

    name: ClassVar[str] = "batch_requests"
    daemon: ClassVar[bool] = False

    def __init__(self, target: Target, settings: dict[str, Any], history: HistoryWriter) -> None:
        super().__init__(target, settings, history)
        self._spec = _spec_of(target)
        self._invocations_max = int(number(settings, "batch_invocations_max", at_least=1))
        self._service: Service | None = None
        self._invocations = 0
        self._since_s: float | None = None  # start of the current invocation, in run seconds
        self._pending_before = 0

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """Require the templates, the target's batch command, and `batch_invocations_max`."""
        super().check(target, settings)
        _spec_of(target)
        number(settings, "batch_invocations_max", at_least=1)

    def start(self, stack: Stack) -> None:
        """Start the first invocation."""
        self._service = stack.service("watcher")
        self.tick()

    def tick(self) -> None:
        """Check the current invocation, or start the next one if requests wait."""
        super().tick()
        service = self._service
        if service is None:
            return
        if self._since_s is not None:
            self._check_invocation(service, self._since_s)
        elif self._requests() and self._invocations < self._invocations_max:
            self._invocations += 1
            self._pending_before = len(self._requests())
            self._since_s = self._history.now_s()
            service.start()

    def finish(self, deadline: Deadline) -> None:
        """Continue until all requests are answered and the last invocation has ended."""

        def list_waiting() -> list[str]:
            self.tick()
            return self._waiting()

        drain(list_waiting, self._history, deadline)

    def abort(self) -> None:
        """Start no further invocation."""
        self._service = None

    def _waiting(self) -> list[str]:
        working = [] if self._since_s is None else [_WORKING]
        return self._requests() + working

    def _check_invocation(self, service: Service, since_s: float) -> None:
        """Record the invocation if it has ended, or stop and record it if it is too late."""
        took_s = self._history.now_s() - since_s
        late = service.alive() and took_s > self._spec.limit_s
        if service.alive() and not late:
            return
        code = service.stop(self._target.watcher.stop_limit_s).exit_code
        self._since_s = None
        failed = late or code != 0
        self._history.op(
            "batch",
            f"batch_{self._invocations:03d}",
            "fail" if failed else "ok",
            exit_code=code,
            took_s=round(took_s, 3),
            started_s=since_s,
            waiting_before=self._pending_before,
            waiting_after=len(self._requests()),
            in_time=not late,
        )
        if failed:  # a failed batch command counts as a Watcher that ended by itself
            self._history.event(
                "watcher_exit",
                severity="error",
                owner="product",
                exit_code=code,
                invocation=self._invocations,
                in_time=not late,
            )


def _spec_of(target: Target) -> BatchSpec:
    if target.batch is None:
        raise UsageError(
            "the target has no batch command",
            place=f"target {target.target}, batch",
            next_step="add batch.command, or choose a profile with the daemon",
        )
    return target.batch
