"""watcher_restarted, injector_restarted: stopped by signal as a service manager does, then started.

Proven by the end of that very process, how long it took and its exit code; the way back by a new
process that has become ready and goes on. One that must be killed because it does not stop is
down all the same: the check `watcher_alive` fails it. Source: systemd.kill(5).
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, PERIOD, Evidence, Param
from chaos.faults.process.progress import Name
from chaos.faults.process.service import ServiceFault, ended_by
from chaos.record.recovery_paths import NO_PATH, WATCHER_RESTART, WORK_RESUMES
from chaos.stack.base import Stack

_HOLD = Param(
    "hold",
    "duration",
    "from the signal to the start, the time to stop included",
    default=5.0,
    min=1.0,
    max=86400,
)


class _Restarted(ServiceFault):
    """The part that both share."""

    triage_path: ClassVar[str] = NO_PATH
    params: ClassVar[tuple[Param, ...]] = (_HOLD, COUNT, PERIOD)

    def __init__(self, fault_id: str, values: dict[str, Any]) -> None:
        super().__init__(fault_id, values)
        self._end: dict[str, Any] = {}

    def inject(self, stack: Stack) -> None:
        """Its stop signal; SIGKILL when it does not end within the target's limit."""
        target = stack.target
        spec = target.watcher if self.service == "watcher" else target.injector
        self._end = ended_by(stack, stack.service(self.service), spec.stop_limit_s)
        self.mark_down()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Ended, with nothing in its place, and nothing is written any more."""
        seen = self.gone(stack, deadline)
        return Evidence(seen.proven, {**seen.measured, "stop": self._end})

    def recover(self, stack: Stack) -> None:
        """Start it again, unless it runs."""
        self.start_again(stack)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A new process, ready, that goes on."""
        return self.back(stack, deadline)


class WatcherRestarted(_Restarted):
    """See the module."""

    name: ClassVar[str] = "watcher_restarted"
    summary: ClassVar[str] = "the Watcher is stopped by its stop signal and started again"
    service: ClassVar[Name] = "watcher"
    ends: ClassVar[frozenset[str]] = frozenset({"watcher"})
    reconnection_path: ClassVar[str] = WATCHER_RESTART


class InjectorRestarted(_Restarted):
    """See the module."""

    name: ClassVar[str] = "injector_restarted"
    summary: ClassVar[str] = "the draw injector is stopped by its stop signal and started again"
    service: ClassVar[Name] = "injector"
    ends: ClassVar[frozenset[str]] = frozenset({"injector"})
    reconnection_path: ClassVar[str] = WORK_RESUMES
