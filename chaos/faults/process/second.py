"""watcher_second: a second Watcher is started in the same workspace.

Two on one queue do work twice, so the second must refuse: end by itself, with an exit code other
than 0, and say why; the first must go on. That a second process was really started, and what
became of it, is what is proven; a second one that works on is the product's failure, which the
check `single_watcher` says. It is ended with the fault in any case.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, PERIOD, Evidence, Param, Value
from chaos.faults.process.identity import Identity
from chaos.faults.process.progress import Name
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import NO_PATH
from chaos.stack.base import Service, Stack

_LOOK_S = 0.02
_MARGIN_S = 0.5  # before the hold is over it must be known whether it refuses
_MESSAGE_BYTES = 400


class WatcherSecond(ServiceFault):
    """See the module."""

    name: ClassVar[str] = "watcher_second"
    summary: ClassVar[str] = "a second Watcher is started in the same workspace; it must refuse"
    service: ClassVar[Name] = "watcher"
    triage_path: ClassVar[str] = NO_PATH
    reconnection_path: ClassVar[str] = NO_PATH
    params: ClassVar[tuple[Param, ...]] = (
        Param(
            "hold",
            "duration",
            "how long the second one may run before it is ended",
            default=8.0,
            min=2.0,
            max=86400,
        ),
        COUNT,
        PERIOD,
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._second: Service | None = None
        self._identity: Identity | None = None
        self._log_from = 0

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the first, and whom the workspace names as its owner."""
        return {**super().undo_record(stack), "owner": _owner(stack)}

    def inject(self, stack: Stack) -> None:
        """Start the second one; returns once its process exists."""
        second = stack.second_watcher()
        self._log_from = second.log.stat().st_size if second.log.exists() else 0
        second.start()
        self._second = second
        self._identity = Identity.of(second.pid())

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The second one was there, and has refused, or works beside the first."""
        second = self._second
        if second is None:
            return Evidence(False, {"second": None})
        while second.alive() and deadline.left_s() > _MARGIN_S:
            deadline.wait(_LOOK_S)
        code = second.exit_code()
        message = self._said(second)
        refused = not second.alive() and code is not None and code > 0 and bool(message)
        measured: dict[str, Any] = {
            "second": self._identity.pid if self._identity else None,
            "exit_code": code,
            "message": message,
            "refused": refused,
            "first": self.first.pid,
            "first_lives": self.first.lives(),
            "owner": _owner(stack),
        }
        return Evidence(True, measured)

    def _said(self, second: Service) -> str:
        try:
            with second.log.open("rb") as stream:
                stream.seek(self._log_from)
                return stream.read(_MESSAGE_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""

    def recover(self, stack: Stack) -> None:
        """End the second one, and what it started, where it still runs."""
        if self._second is not None:
            self._second.kill()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Only the first is there, it is the same process, and it goes on."""
        second = self._second
        goes_on, what = self.goes_on(stack, deadline)
        measured: dict[str, Any] = {
            "first": self.first.pid,
            "same": self.first.lives(),
            "second_lives": second is not None and bool(second.pids()),
            "owner": _owner(stack),
            **what,
        }
        return Evidence(measured["same"] and not measured["second_lives"] and goes_on, measured)


def _owner(stack: Stack) -> int | None:
    """The process that the target's instance file names; None where it has or names none."""
    instance = stack.target.instance
    if instance is None:
        return None
    try:
        found = json.loads((stack.workspace / instance.pid_file).read_bytes())[instance.pid]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, int) else None
