"""watcher_killed, injector_killed: SIGKILL, and dead until a service manager starts it again.

The kernel's out-of-memory killer takes one process, not those that it started: by default the
Watcher's dispatch child is left alone, as in the field (`children=keep`). Proven by the end of that
very process (number and start), its exit code, and the standstill of all that it writes; the
way back by a new process that has become ready and goes on. Source: oom_kill in proc(5),
systemd.service(5) (Restart=).
"""

from __future__ import annotations

import signal
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, PERIOD, Evidence, Param
from chaos.faults.process.identity import Identity
from chaos.faults.process.progress import Name
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import PROCESS_DIED, WATCHER_RESTART, WORK_RESUMES
from chaos.stack.base import Stack

_END_LIMIT_S = 2.0
_LOOK_S = 0.005


def hold_param(default_s: float) -> Param:
    """`hold` of a kind that ends a service."""
    return Param(
        "hold", "duration", "how long it stays dead", default=default_s, min=1.0, max=86400
    )


class _Killed(ServiceFault):
    """The part that both share."""

    triage_path: ClassVar[str] = PROCESS_DIED

    def __init__(self, fault_id: str, values: dict[str, Any]) -> None:
        super().__init__(fault_id, values)
        self._children: list[Identity] = []

    def inject(self, stack: Stack) -> None:
        """SIGKILL; returns once the process is gone."""
        self._children = self.first.children()
        if self.values.get("children") == "kill":
            stack.service(self.service).kill()
        else:
            self.first.send(signal.SIGKILL)
        self.mark_down()
        deadline = Deadline(_END_LIMIT_S)
        while self.first.lives() and deadline.wait(_LOOK_S):
            pass

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Gone by signal 9, with nothing in its place, and nothing is written any more."""
        seen = self.gone(stack, deadline)
        measured = {
            **seen.measured,
            "children_then": len(self._children),
            "children_now": sum(child.lives() for child in self._children),
        }
        proven = seen.proven and measured["exit_code"] == -signal.SIGKILL
        if proven:
            measured["path_taken"] = f"process {self.first.pid} ended by signal 9"
        return Evidence(proven, measured)

    def recover(self, stack: Stack) -> None:
        """Start it again, unless it runs."""
        self.start_again(stack)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A new process, ready, that goes on."""
        return self.back(stack, deadline)


class WatcherKilled(_Killed):
    """See the module."""

    name: ClassVar[str] = "watcher_killed"
    summary: ClassVar[str] = "the Watcher is killed (SIGKILL) and started again after a while"
    service: ClassVar[Name] = "watcher"
    ends: ClassVar[frozenset[str]] = frozenset({"watcher"})
    reconnection_path: ClassVar[str] = WATCHER_RESTART
    params: ClassVar[tuple[Param, ...]] = (
        hold_param(5.0),
        COUNT,
        PERIOD,
        Param(
            "children",
            "text",
            "its dispatch child: kept (as the out-of-memory killer does) or killed with it",
            default="keep",
            choices=("keep", "kill"),
        ),
    )


class InjectorKilled(_Killed):
    """See the module."""

    name: ClassVar[str] = "injector_killed"
    summary: ClassVar[str] = "the draw injector is killed (SIGKILL) and started again after a while"
    service: ClassVar[Name] = "injector"
    ends: ClassVar[frozenset[str]] = frozenset({"injector"})
    reconnection_path: ClassVar[str] = WORK_RESUMES
    params: ClassVar[tuple[Param, ...]] = (hold_param(8.0), COUNT, PERIOD)
