"""watcher_paused, injector_paused: SIGSTOP for the service and all that it started.

A paused process is there, holds its locks and connections, and does nothing. Proven by the state
of each of its threads (T), by none of them having been scheduled between two looks, and by the
standstill of what it writes, against what it did before; healed by SIGCONT, proven by progress.
Source: signal(7), proc(5).
"""

from __future__ import annotations

import signal
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, PERIOD, Evidence, Param
from chaos.faults.process.identity import Identity
from chaos.faults.process.progress import Name, draws, look_at
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import NO_PATH, STALL, WORK_RESUMES
from chaos.stack.base import Stack

_HOLD = Param("hold", "duration", "how long it is paused", default=8.0, min=1.0, max=86400)


class _Paused(ServiceFault):
    """The part that both share."""

    reconnection_path: ClassVar[str] = WORK_RESUMES
    params: ClassVar[tuple[Param, ...]] = (_HOLD, COUNT, PERIOD)

    def inject(self, stack: Stack) -> None:
        """Stop the tree; returns once it has stopped."""
        stack.service(self.service).pause()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Each thread is stopped, before and after a while in which nothing happened."""
        before = look_at(stack, self.service)
        standstill, silent = self.standstill(stack, deadline)
        after = look_at(stack, self.service)
        measured: dict[str, Any] = {
            "process": self.first.pid,
            "states": {str(pid): letters for pid, letters in after.states.items()},
            **standstill,
        }
        stopped = before.stopped and after.stopped and self.first.lives()
        return Evidence(stopped and silent, measured)

    def recover(self, stack: Stack) -> None:
        """SIGCONT for the tree; harmless where nothing is stopped."""
        self._draws_before_return = draws(stack) if self.service == "injector" else None
        stack.service(self.service).resume()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The same process goes on."""
        measured: dict[str, Any] = {"process": self.first.pid, "same": self.first.lives()}
        if not measured["same"]:
            code = stack.service(self.service).exit_code()
            return Evidence(False, {**measured, "did_not_return": f"exit code {code}"})
        goes_on, what = self.goes_on(stack, deadline)
        states = look_at(stack, self.service).states
        measured |= {**what, "states": {str(pid): letters for pid, letters in states.items()}}
        return Evidence(goes_on, measured)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        """Let that very process go on, where it still exists."""
        process = record.get("process")
        if isinstance(process, dict):
            Identity(int(process["pid"]), int(process["start_ticks"])).send(signal.SIGCONT)


class WatcherPaused(_Paused):
    """See the module."""

    name: ClassVar[str] = "watcher_paused"
    summary: ClassVar[str] = "the Watcher and its children are paused (SIGSTOP)"
    service: ClassVar[Name] = "watcher"
    triage_path: ClassVar[str] = STALL


class InjectorPaused(_Paused):
    """See the module."""

    name: ClassVar[str] = "injector_paused"
    summary: ClassVar[str] = "the draw injector is paused (SIGSTOP): no draw arrives"
    service: ClassVar[Name] = "injector"
    triage_path: ClassVar[str] = NO_PATH
