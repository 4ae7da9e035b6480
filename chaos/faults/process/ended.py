"""Kinds that end a service and start it again: by SIGKILL, or by its stop signal."""

import signal
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence
from chaos.faults.params import FaultParams, duration, text
from chaos.faults.process.progress import spec_of
from chaos.faults.process.service import OF_SERVICE, ServiceFault
from chaos.record.recovery_paths import NO_PATH, PROCESS_DIED, WATCHER_RESTART, WORK_RESUMES
from chaos.stack.base import Stack

_END_LIMIT_S = 2.0
_LOOK_S = 0.005


class _Killed(ServiceFault):
    """SIGKILL; the service is started again after the hold.

    The kernel's out-of-memory killer ends one process, not its children: by default the Watcher's
    dispatch child is left alone (`children=keep`). Proven by the end of the process, its exit
    code, and by the fact that nothing is written any more; recovered by a new process that is
    ready and works. Source: oom_kill in proc(5), systemd.service(5) (Restart=).
    """

    triage_path = PROCESS_DIED

    _children: Sequence[Identity] = ()

    def inject(self, stack: Stack) -> None:
        self._children = self.first.children()
        if getattr(self.params, "children", "keep") == "kill":
            stack.service(self.service).kill()
        else:
            self.first.send(signal.SIGKILL)
        self.mark_down()
        deadline = Deadline(_END_LIMIT_S)
        while self.first.lives() and deadline.wait(_LOOK_S):
            pass

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        end = self.gone(stack, deadline)
        measured = {
            **end.measured,
            "children_then": len(self._children),
            "children_now": sum(child.lives() for child in self._children),
        }
        proven = end.proven and measured["exit_code"] == -signal.SIGKILL
        if proven:
            measured["path_taken"] = f"process {self.first.pid} ended by signal 9"
        return Evidence(proven, measured)


class WatcherKilled(_Killed):
    name = "watcher_killed"
    summary = "the Watcher is killed (SIGKILL) and started again after a while"
    service = "watcher"
    ends = frozenset({"watcher"})
    reconnection_path = WATCHER_RESTART

    class Params(FaultParams):
        hold: Annotated[float, duration("how long it stays dead", 1, 86400)] = 5.0
        children: Annotated[
            Literal["keep", "kill"],
            text("its dispatch child: kept (as the out-of-memory killer does) or killed with it"),
        ] = "keep"
        service: Annotated[str, OF_SERVICE] = "watcher"

    params: Params


class InjectorKilled(_Killed):
    name = "injector_killed"
    summary = "the draw injector is killed (SIGKILL) and started again after a while"
    service = "injector"
    ends = frozenset({"injector"})
    reconnection_path = WORK_RESUMES

    class Params(FaultParams):
        hold: Annotated[float, duration("how long it stays dead", 1, 86400)] = 8.0

    params: Params


class _Restarted(ServiceFault):
    """Stopped by signal as a service manager does, then started.

    Proven by the end of the process, how long it took and its exit code; recovered by a new
    process that is ready and works. A process that does not stop is killed, which the check
    `watcher_alive` fails. Source: systemd.kill(5).
    """

    triage_path = NO_PATH

    class Params(FaultParams):
        hold: Annotated[
            float, duration("from the signal to the start, the time to stop included", 1, 86400)
        ] = 5.0

    params: Params

    _end: dict[str, Any] | None = None

    def inject(self, stack: Stack) -> None:
        spec = spec_of(stack.target, self.service)
        stopped = stack.service(self.service).stop(spec.stop_limit_s)
        by_signal = -signal.Signals[f"SIG{spec.stop_signal}"]
        self._end = {
            "took_s": round(stopped.took_s, 3),
            "limit_s": spec.stop_limit_s,
            "exit_code": stopped.exit_code,
            # In time, and with exit code 0 or by the stop signal itself.
            "clean": not stopped.killed and stopped.exit_code in (0, by_signal),
        }
        self.mark_down()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self.gone(stack, deadline).plus(stop=self._end or {})


class WatcherRestarted(_Restarted):
    name = "watcher_restarted"
    summary = "the Watcher is stopped by its stop signal and started again"
    service = "watcher"
    ends = frozenset({"watcher"})
    reconnection_path = WATCHER_RESTART

    class Params(_Restarted.Params):
        service: Annotated[str, OF_SERVICE] = "watcher"

    params: Params


class InjectorRestarted(_Restarted):
    name = "injector_restarted"
    summary = "the draw injector is stopped by its stop signal and started again"
    service = "injector"
    ends = frozenset({"injector"})
    reconnection_path = WORK_RESUMES
