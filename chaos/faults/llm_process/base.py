"""What the kinds of this package share: the server as it was before, and the record since."""

from __future__ import annotations

from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import Identity
from chaos.faults.base import Fault
from chaos.faults.llm_process.server import Record, current
from chaos.stack.base import Stack


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

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the process. It and its supervisor are the run's own, and die with it."""
        self._record = Record.now(stack)
        self.server = current(stack)
        return {"server": self.server.record() if self.server else None}
