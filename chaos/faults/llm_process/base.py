"""What the kinds of this package share: the server as it was before, and the record since."""

from collections.abc import Callable
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import Identity
from chaos.faults.base import Fault
from chaos.faults.llm_process.server import LOOK_S, Record, await_server, current
from chaos.stack.base import Stack

_WAIT_PART = 0.7  # of the hold, for a server at work


class ProcessFault(Fault):
    """A fault of the LLM server's process. `server` is the one that ran before, if any did."""

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

    def strike(self, stack: Stack, act: Callable[[Identity], bool], done: str) -> None:
        """Find a server at work and `act` on it; the next one where a stop was under way."""
        deadline = Deadline(max(1.0, self.params.hold * _WAIT_PART))
        while not act(await_server(stack, deadline.left_s())):
            if not deadline.wait(LOOK_S):
                raise EnvironmentProblem(f"every LLM server was stopped before it could be {done}")

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the process. It and its supervisor are the run's own, and die with it."""
        self._record = Record.now(stack)
        self.server = current(stack)
        return {"server": self.server.record() if self.server else None}
