"""watcher_paused, injector_paused: SIGSTOP for the service and its child processes.

A paused process exists, holds its locks and connections, and does nothing. Proven by the state of
all its threads (T), none of which runs between two looks, and by the fact that nothing is written.
Healed by SIGCONT, recovered once it works again. Source: signal(7), proc(5).
"""

import signal
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence
from chaos.faults.params import FaultParams, duration
from chaos.faults.process.progress import draws, look_at
from chaos.faults.process.service import OF_SERVICE, ServiceFault
from chaos.record.recovery_paths import NO_PATH, STALL, WORK_RESUMES
from chaos.stack.base import Stack


class _Paused(ServiceFault):
    reconnection_path = WORK_RESUMES

    class Params(FaultParams):
        hold: Annotated[float, duration("how long it is paused", 1, 86400)] = 8.0

    params: Params

    def inject(self, stack: Stack) -> None:
        stack.service(self.service).pause()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        before = look_at(stack, self.service)
        standstill, silent = self.standstill(stack, deadline)
        after = look_at(stack, self.service)
        measured: dict[str, Any] = {
            "process": self.first.pid,
            "states": {str(pid): letters for pid, letters in after.states.items()},
            **standstill,
        }
        stopped = before.stopped and after.stopped and self.first.lives()
        if stopped and self.service not in ("watcher", "injector"):
            measured["path_taken"] = f"process {self.first.pid} of {self.service} was stopped"
        return Evidence(stopped and silent, measured)

    def recover(self, stack: Stack) -> None:
        """SIGCONT for all, which does nothing to a process that runs."""
        self._draws_before_return = draws(stack) if self.service == "injector" else None
        stack.service(self.service).resume()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        measured: dict[str, Any] = {"process": self.first.pid, "same": self.first.lives()}
        if not measured["same"]:
            code = stack.service(self.service).exit_code()
            return Evidence(False, {**measured, "did_not_return": f"exit code {code}"})
        progress = self.progress(stack, deadline)
        states = look_at(stack, self.service).states
        return Evidence(
            progress.proven,
            {
                **measured,
                **progress.measured,
                "states": {str(pid): letters for pid, letters in states.items()},
            },
        )

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        if record.get("process"):
            Identity.recorded(record["process"]).send(signal.SIGCONT)


class WatcherPaused(_Paused):
    name = "watcher_paused"
    summary = "the Watcher and its children are paused (SIGSTOP)"
    service = "watcher"
    triage_path = STALL

    class Params(_Paused.Params):
        service: Annotated[str, OF_SERVICE] = "watcher"

    params: Params


class InjectorPaused(_Paused):
    name = "injector_paused"
    summary = "the draw injector is paused (SIGSTOP): no draw arrives"
    service = "injector"
    triage_path = NO_PATH
