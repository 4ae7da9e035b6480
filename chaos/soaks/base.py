"""What a workload is. Knows nothing of faults but that they come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol

from chaos.base.deadline import Deadline
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.stack.base import Stack


class Workload(Protocol):
    """Feeds one stack for one run. All but `on_fault` is called by the run's own thread.

    `daemon`: the Watcher is started as its users start it, and runs until it is halted. Without,
    the workload starts it itself (service `watcher`, by the target's `batch` command).
    """

    name: ClassVar[str]
    daemon: ClassVar[bool]

    def __init__(
        self, target: Target, settings: dict[str, Any], history: HistoryWriter
    ) -> None: ...

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """`UsageError` when `target` or `settings` lack what this workload needs."""

    def stage(self, workspace: Path) -> None:
        """Put into the workspace what must be there before the Watcher starts."""

    def start(self, stack: Stack) -> None:
        """Begin; called once the stack is ready."""

    def tick(self) -> None:
        """Look and react; quick, and called a few times each second from `start` to `finish`."""

    def done(self) -> bool:
        """Whether everything is answered and nothing more will be asked."""

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """A fault is in force, proven (`active`), or has recovered. Called by the storm.

        Where no request can be submitted while it holds, also just before it strikes (`active`).
        """

    def finish(self, deadline: Deadline) -> None:
        """Stop feeding and wait until everything that was asked is answered."""

    def abort(self) -> None:
        """Stop feeding at once; nothing is waited for. May come before `start`."""
