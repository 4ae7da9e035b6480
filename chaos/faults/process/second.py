"""watcher_second: a second Watcher is started in the same workspace.

Two on one queue do work twice, so the second must refuse: end by itself, with an exit code other
than 0, and say why; the first must go on. That a second process was really started, and what
became of it, is what is proven; a second one that works on is the product's failure, which the
check `single_watcher` says. It is ended with the fault in any case.
"""

import json
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence
from chaos.faults.params import FaultParams, duration
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import NO_PATH
from chaos.stack.base import Service, Stack

_LOOK_S = 0.02
_MARGIN_S = 0.5  # before the hold is over it must be known whether it refuses
_MESSAGE_BYTES = 400


class WatcherSecond(ServiceFault):
    name = "watcher_second"
    summary = "a second Watcher is started in the same workspace; it must refuse"
    service = "watcher"
    triage_path = NO_PATH
    reconnection_path = NO_PATH

    class Params(FaultParams):
        hold: Annotated[
            float, duration("how long the second one may run before it is ended", 2.0, 86400)
        ] = 8.0

    params: Params

    _second: Service | None = None
    _identity: Identity | None = None
    _log_from = 0

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        return {**super().undo_record(stack), "owner": _owner(stack)}

    def inject(self, stack: Stack) -> None:
        second = stack.second_watcher()
        self._log_from = second.log.stat().st_size if second.log.exists() else 0
        second.start()
        self._second = second
        self._identity = Identity.of(second.pid())

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
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
        if self._second is not None:
            self._second.kill()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
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
