"""The interface of a workload. Must not know faults, except when one is active."""

from pathlib import Path
from typing import Any, ClassVar, Protocol

from chaos.base.deadline import Deadline
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.stack.base import Stack


class Workload(Protocol):
    """Submits work to one stack during one run. The run's thread calls all but `on_fault`.

    `daemon` True: the Watcher runs as a daemon until it is halted. False: the workload itself
    starts the Watcher (service `watcher`, with the target's `batch` command).
    """

    name: ClassVar[str]
    daemon: ClassVar[bool]

    def __init__(
        self, target: Target, settings: dict[str, Any], history: HistoryWriter
    ) -> None: ...

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """Raise `UsageError` if `target` or `settings` lack something that this workload needs."""

    def stage(self, workspace: Path) -> None:
        """Write into the workspace what must exist before the Watcher starts."""

    def start(self, stack: Stack) -> None:
        """Begin. Called once, when the stack is ready."""

    def tick(self) -> None:
        """Do what is due. Called a few times a second from `start` to `finish`; must be quick."""

    def done(self) -> bool:
        """True if all requests are answered and none will follow."""

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Called by the storm when a fault is proven (`active`), and when it has recovered.

        If no request can be submitted while the fault holds, it is called just before the
        injection instead (`active`).
        """

    def finish(self, deadline: Deadline) -> None:
        """Stop submitting, and wait until all requests are answered, or until the deadline."""

    def abort(self) -> None:
        """Stop submitting at once, and wait for nothing. May be called before `start`."""
