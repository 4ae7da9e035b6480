"""watcher_restarted, injector_restarted: stopped by signal as a service manager does, then started.

Proven by the end of that very process, how long it took and its exit code; the way back by a new
process that has become ready and goes on. One that must be killed because it does not stop is
down all the same: the check `watcher_alive` fails it. Source: systemd.kill(5).
"""

import signal
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence
from chaos.faults.params import FaultParams, Value, duration
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import NO_PATH, WATCHER_RESTART, WORK_RESUMES
from chaos.stack.base import Stack


class _Restarted(ServiceFault):
    """The part that both share."""

    triage_path = NO_PATH

    class Params(FaultParams):
        hold: Annotated[
            float, duration("from the signal to the start, the time to stop included", 1, 86400)
        ] = 5.0

    params: Params

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._end: dict[str, Any] = {}

    def inject(self, stack: Stack) -> None:
        target = stack.target
        spec = target.watcher if self.service == "watcher" else target.injector
        stopped = stack.service(self.service).stop(spec.stop_limit_s)
        by_signal = -signal.Signals[f"SIG{spec.stop_signal}"]
        self._end = {
            "took_s": round(stopped.took_s, 3),
            "limit_s": spec.stop_limit_s,
            "exit_code": stopped.exit_code,
            # By itself, in time, and with exit code 0 or by that very signal.
            "clean": not stopped.killed and stopped.exit_code in (0, by_signal),
        }
        self.mark_down()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        seen = self.gone(stack, deadline)
        return Evidence(seen.proven, {**seen.measured, "stop": self._end})


class WatcherRestarted(_Restarted):
    name = "watcher_restarted"
    summary = "the Watcher is stopped by its stop signal and started again"
    service = "watcher"
    ends = frozenset({"watcher"})
    reconnection_path = WATCHER_RESTART


class InjectorRestarted(_Restarted):
    name = "injector_restarted"
    summary = "the draw injector is stopped by its stop signal and started again"
    service = "injector"
    ends = frozenset({"injector"})
    reconnection_path = WORK_RESUMES
