"""What a workload is. Knows nothing of faults but that they come and go."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from chaos.deadline import Deadline
from chaos.history import HistoryWriter
from chaos.stack.base import Stack
from chaos.target import Target


class Workload(Protocol):
    """Feeds one stack for one run."""

    name: ClassVar[str]

    def __init__(
        self, stack: Stack, target: Target, settings: dict[str, Any], history: HistoryWriter
    ) -> None: ...

    def start(self) -> None:
        """Begin; called once the stack is ready."""

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """A fault is in force, proven (`active`), or has recovered (in the storm's thread)."""

    def finish(self, deadline: Deadline) -> None:
        """Stop feeding and wait until everything that was asked is answered."""

    def abort(self) -> None:
        """Stop feeding at once; nothing is waited for."""
