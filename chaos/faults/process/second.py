"""watcher_second: a second Watcher is started in the same workspace.

Two on one queue process requests twice. So the second must refuse: end by itself with an exit code
other than 0 and a message; the first must go on. The effect is proven by the second process and
what became of it; the check `single_watcher` fails a second one that works. Recovery ends it.
"""

from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.files import file_from
from chaos.base.proc import Identity
from chaos.faults.base import Evidence
from chaos.faults.params import FaultParams, duration
from chaos.faults.process.service import ServiceFault
from chaos.record.pid_file import named_process
from chaos.record.recovery_paths import NO_PATH
from chaos.stack.base import Service, Stack

_LOOK_S = 0.02
_MARGIN_S = 0.5  # before the end of the hold
_MESSAGE_BYTES = 400
_INSTANCE_BYTES_MAX = 1 << 20


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
        output = file_from(second.log, self._log_from, _MESSAGE_BYTES)
        message = output.decode(errors="replace").strip()
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

    def recover(self, stack: Stack) -> None:
        if self._second is not None:
            self._second.kill()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        second = self._second
        progress = self.progress(stack, deadline)
        measured: dict[str, Any] = {
            "first": self.first.pid,
            "same": self.first.lives(),
            "second_lives": second is not None and bool(second.pids()),
            "owner": _owner(stack),
            **progress.measured,
        }
        alone = measured["same"] and not measured["second_lives"]
        return Evidence(alone and progress.proven, measured)


def _owner(stack: Stack) -> int | None:
    """The process that the target's instance file names, or None."""
    instance = stack.target.instance
    if instance is None:
        return None
    content = file_from(stack.workspace / instance.pid_file, 0, _INSTANCE_BYTES_MAX)
    return named_process(content, instance)[0]
