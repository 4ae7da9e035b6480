"""What the kinds of this package share: the server as it was before, and the record since.

`NextStartFault`: kinds that affect the next LLM server. They are set at the supervisor, and are in
force once a server was started. The Watcher stops and starts the server around every piece of work;
if it does not within a third of the hold, the fault restarts the server through the supervisor.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.llm_process.server import (
    LOOK_S,
    Record,
    ServerEvent,
    await_server,
    current,
    restart,
    supervised,
    unavailable,
    works,
)
from chaos.stack.base import Stack

_WAIT_PART = 0.7  # of the hold, for a server that answers
_OWN_START_AFTER_PART = 1 / 3  # of the hold, for the Watcher to start a server
_OWN_START_LIMIT_S = 4.0


class ProcessFault(Fault):
    """A fault of the LLM server's process. `server` is the process that ran before, if any."""

    group = "llm_process"
    affects_llm = True

    server: Identity | None = None
    _record: Record | None = None

    @property
    def record(self) -> Record:
        """What the supervisor has written since this fault was armed."""
        if self._record is None:
            raise EnvironmentProblem(f"{self.name} was not armed before it acted")
        return self._record

    def available_in(self, planned: PlannedStack) -> str | None:
        if planned.target.llm.external:
            return "the LLM server is not of the run (llm.server): its process is out of reach"
        return super().available_in(planned)

    def settled(self, stack: Stack) -> str | None:
        return self.available(stack)

    def strike(self, stack: Stack, act: Callable[[Identity], bool], done: str) -> None:
        """Wait for a server that answers and `act` on it; if it was being stopped, try the next."""
        deadline = Deadline(max(1.0, self.params.hold * _WAIT_PART))
        while not act(await_server(stack, deadline.left_s())):
            if not deadline.wait(LOOK_S):
                raise EnvironmentProblem(f"every LLM server was stopped before it could be {done}")

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The process. It and its supervisor belong to the run and end with it."""
        self._record = Record.now(stack)
        self.server = current(stack)
        return {"server": self.server.record() if self.server else None}


class NextStartFault(ProcessFault):
    """`started_by` says who started the affected server."""

    started_by = "nobody"

    def available_in(self, planned: PlannedStack) -> str | None:
        if planned.target.llm.server is None:
            return super().available_in(planned)
        return "only the embedded LLM server can misbehave so; the target has its own (llm.server)"

    @abstractmethod
    def knobs(self) -> dict[str, Any]:
        """How the next server shall misbehave (images/llm/faults.py)."""

    def available(self, stack: Stack) -> str | None:
        return unavailable(stack, knobs=True)

    def inject(self, stack: Stack) -> None:
        path = self.record.path
        self.record.offset = path.stat().st_size if path.is_file() else 0  # later starts only
        supervised(stack).set_faults(self.knobs())
        if self._await_start(Deadline(self.params.hold * _OWN_START_AFTER_PART)):
            self.started_by = "the Watcher"
            return
        self.started_by = "the fault"
        restart(stack)
        if not self._await_start(Deadline(_OWN_START_LIMIT_S)):
            raise EnvironmentProblem(
                "the LLM server was restarted, and its start is not in the supervisor's record",
                place=str(path),
            )

    def _await_start(self, deadline: Deadline) -> ServerEvent | None:
        return self.record.await_event(lambda: self.record.find("start"), deadline)

    def recover(self, stack: Stack) -> None:
        supervised(stack).set_faults({})

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The supervisor starts normal servers again, and the LLM completes a prompt."""

        def look(measured: dict[str, Any]) -> bool:
            knobs = supervised(stack).faults()
            measured |= {"normal_again": not any(knobs.values()), **works(stack)}
            server = current(stack)
            if not measured["normal_again"] or not measured["completes"] or server is None:
                return False
            normal, more = self.is_normal(server.pid)
            measured |= {"pid": server.pid, **more}
            return normal

        return probe(look, deadline, LOOK_S)

    def is_normal(self, pid: int) -> tuple[bool, dict[str, Any]]:
        """(True if the running server does not misbehave, measurements)."""
        return True, {}
