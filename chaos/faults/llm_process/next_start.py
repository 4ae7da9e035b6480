"""Kinds that show in the next LLM server: set at the supervisor, in force once one was started.

The next start is the Watcher's own where it comes in time (a third of the hold): it stops and
starts the server around every piece of work. Where it does not come, the fault restarts the
server itself, through the supervisor, as a person would.
"""

from abc import abstractmethod
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import Evidence, probe
from chaos.faults.llm_process.base import ProcessFault
from chaos.faults.llm_process.server import (
    LOOK_S,
    ServerEvent,
    current,
    restart,
    supervised,
    why_not,
    works,
)
from chaos.stack.base import Stack

_WAIT_PART = 1 / 3
_OWN_START_LIMIT_S = 4.0


class NextStartFault(ProcessFault):
    """`started_by` says whose start it was."""

    started_by = "nobody"

    @abstractmethod
    def knobs(self) -> dict[str, Any]:
        """How the next server shall misbehave (images/llm/faults.py)."""

    def available(self, stack: Stack) -> str | None:
        return why_not(stack, knobs=True)

    def inject(self, stack: Stack) -> None:
        offset = self.record.path.stat().st_size if self.record.path.is_file() else 0
        self.record.offset = offset  # starts before this moment are none of ours
        supervised(stack).set_faults(self.knobs())
        if self._await_start(Deadline(self.params.hold * _WAIT_PART)):
            self.started_by = "the Watcher"
            return
        self.started_by = "the fault"
        restart(stack)
        if not self._await_start(Deadline(_OWN_START_LIMIT_S)):
            raise EnvironmentProblem(
                "the LLM server was restarted, and its start is not in the supervisor's record",
                place=str(self.record.path),
            )

    def _await_start(self, deadline: Deadline) -> ServerEvent | None:
        return self.record.await_event(lambda: self.record.find("start"), deadline)

    def recover(self, stack: Stack) -> None:
        supervised(stack).set_faults({})

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The supervisor says so, and the LLM completes a prompt."""

        def look(measured: dict[str, Any]) -> bool:
            knobs = supervised(stack).faults()
            measured |= {"normal_again": not any(knobs.values()), **works(stack)}
            server = current(stack)
            if not measured["normal_again"] or not measured["completes"] or server is None:
                return False
            well, more = self.server_is_well(server.pid)
            measured |= {"pid": server.pid, **more}
            return well

        return probe(look, deadline, LOOK_S)

    def server_is_well(self, pid: int) -> tuple[bool, dict[str, Any]]:
        """(True if the running server does not misbehave, what was measured)."""
        return True, {}
