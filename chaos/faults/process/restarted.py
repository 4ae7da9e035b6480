"""watcher_restarted, injector_restarted: stopped by signal as a service manager does, then started.

Proven by the end of the process, how long it took and its exit code; recovered by a new process
that is ready and works. A process that does not stop is killed, which the check `watcher_alive`
fails. Source: systemd.kill(5).
"""

import signal
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence
from chaos.faults.params import FaultParams, duration
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import NO_PATH, WATCHER_RESTART, WORK_RESUMES
from chaos.stack.base import Stack


class _Restarted(ServiceFault):
    triage_path = NO_PATH

    class Params(FaultParams):
        hold: Annotated[
            float, duration("from the signal to the start, the time to stop included", 1, 86400)
        ] = 5.0

    params: Params

    _end: dict[str, Any] | None = None

    def inject(self, stack: Stack) -> None:
        target = stack.target
        spec = target.watcher if self.service == "watcher" else target.injector
        stopped = stack.service(self.service).stop(spec.stop_limit_s)
        by_signal = -signal.Signals[f"SIG{spec.stop_signal}"]
        self._end = {
            "took_s": round(stopped.took_s, 3),
            "limit_s": spec.stop_limit_s,
            "exit_code": stopped.exit_code,
            # In time, and with exit code 0 or by the stop signal itself.
            "clean": not stopped.killed and stopped.exit_code in (0, by_signal),
        }
        self.mark_down()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self.gone(stack, deadline).plus(stop=self._end or {})


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
