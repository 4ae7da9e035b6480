"""What the kinds share that end, pause or restart one service.

The effect is proven by the kernel (the process) and by the files that the service writes; the
recovery by a new process that is ready and works.
"""

import time
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem, unknown_name
from chaos.base.proc import Identity
from chaos.base.stopping import RunStopped
from chaos.faults.base import Evidence, Fault, Group, PlannedStack, probe
from chaos.faults.params import Value, text
from chaos.faults.process.progress import draw_interval_s, draws, look_at
from chaos.record.target import Target
from chaos.stack.base import Stack

_BATCH = "the Watcher is a batch command in this workload; choose a profile with the daemon"
_NO_INJECTOR = "the injector does not run in this soak; soak C has it"
_BEFORE_S = 0.4  # how long the service is watched before; it is armed 1 s ahead
_SILENCE_S = 1.0  # how long a standstill is watched, unless a draw is due
_SILENCE_S_MIN = 0.2  # of an occurrence that ends at its proof
_DRAWS_MISSED = 1.3  # intervals without a draw in which one was certainly due
_MARGIN_S = 0.2  # before the end of the hold
_LOOK_S = 0.02
_POLL_S_MAX = 5.0


OF_SERVICE = text("the program that it strikes: watcher, or one of the target's services")


class ServiceFault(Fault):
    """A fault of the program `service`, or of the one that its parameter `service` names."""

    service: str
    group: ClassVar[Group] = "process"

    _first: Identity | None = None
    _down_since_s: float | None = None
    _down_s: float | None = None
    _no_return = ""
    _draws_before_return: int | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self.service = getattr(self.params, "service", self.service)
        if self.ends:
            self.ends = frozenset({self.service})

    def available_in(self, planned: PlannedStack) -> str | None:
        if self.service != "injector":
            _known(self.service, planned.target)
        if self.service != "injector" and not planned.daemon:
            return _BATCH
        if self.service == "injector" and planned.target.injector is None:
            return "the target has no injector"
        if self.service == "injector" and not planned.injects:
            return _NO_INJECTOR
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        if self.service != "injector":
            _known(self.service, stack.target)
        service = stack.service(self.service)
        if self.service != "injector" and not stack.daemon:
            return _BATCH
        if service.alive():
            return None
        code = service.exit_code()
        if code is not None:
            return f"the {self.service} does not run: it ended with exit code {code}"
        if self.service == "injector":
            return _NO_INJECTOR
        return f"the {self.service} does not run"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The process, and what it did just before."""
        self._first = Identity.of(stack.service(self.service).pid())
        first = look_at(stack, self.service)
        Deadline(_BEFORE_S).wait(_BEFORE_S)
        later = look_at(stack, self.service)
        return {
            "service": self.service,
            "process": self._first.record() if self._first else None,
            "before": {
                "watched_s": _BEFORE_S,
                "switches": first.switched(later),
                "written": first.changed(later),
            },
        }

    # -- effect -----------------------------------------------------------------------------------

    def mark_down(self) -> None:
        """The service is down from now on."""
        self._down_since_s = time.monotonic()

    @property
    def first(self) -> Identity:
        """The process that ran when the fault was armed."""
        if self._first is None:
            raise EnvironmentProblem(f"the {self.service} ended before the fault")
        return self._first

    def gone(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The process has ended, none has taken its place, and nothing is written."""
        measured: dict[str, Any] = {"process": self.first.pid}
        while self.first.lives():
            if not deadline.wait(_LOOK_S):
                return Evidence(False, {**measured, "threads": self.first.states()})
        service = stack.service(self.service)
        while service.alive() and deadline.wait(_LOOK_S):
            pass  # of a process with threads the first one may end before the others
        measured["exit_code"] = service.exit_code()
        standstill, silent = self.standstill(stack, deadline, threads=False)
        after = service.pid()
        measured |= standstill
        if after is not None:
            measured["another_process"] = after
        return Evidence(silent and after is None, measured)

    def standstill(
        self, stack: Stack, deadline: Deadline, *, threads: bool = True
    ) -> tuple[dict[str, Any], bool]:
        """(measurements, True if nothing happens), watched until a draw was due if it can be.

        Without `threads` only written files count: children that were left alone may work.
        """
        first, drawn = look_at(stack, self.service), self._drawn(stack)
        wanted_s = _SILENCE_S_MIN if self.ends_at_proof else _SILENCE_S
        every_s = draw_interval_s(stack) if self.service == "injector" else None
        if every_s is not None and every_s * _DRAWS_MISSED < deadline.left_s() - _MARGIN_S:
            wanted_s = max(wanted_s, every_s * _DRAWS_MISSED)
        watched_s = max(0.0, min(wanted_s, deadline.left_s() - _MARGIN_S))
        Deadline(watched_s).wait(watched_s)
        later = look_at(stack, self.service)
        measured: dict[str, Any] = {
            "watched_s": round(watched_s, 3),
            "written": first.changed(later),
        }
        if threads:
            measured["switches"] = first.switched(later)
        if self.service == "injector":
            measured["draws"] = [drawn, self._drawn(stack)]
            if every_s is not None:
                measured["draws_due"] = round(watched_s / every_s, 1)
        silent = watched_s > 0 and not measured.get("switches") and not measured["written"]
        return measured, silent and not deadline.expired()

    def _drawn(self, stack: Stack) -> int | None:
        return draws(stack) if self.service == "injector" else None

    # -- recovery ---------------------------------------------------------------------------------

    def recover(self, stack: Stack) -> None:
        """Start it as its service manager would, unless it runs, and wait until it is ready."""
        service = stack.service(self.service)
        self._draws_before_return = self._drawn(stack)
        if service.alive():
            return
        try:
            service.start()
        except EnvironmentProblem as error:
            self._no_return = error.message
        except RunStopped as stopped:
            self._no_return = str(stopped)
        if self._down_since_s is not None:
            self._down_s = time.monotonic() - self._down_since_s

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Another process runs and works; else the evidence says what prevents it."""
        service = stack.service(self.service)
        now = Identity.of(service.pid())
        measured: dict[str, Any] = {
            "process": now.pid if now else None,
            "process_before": self.first.pid,
        }
        if self._down_s is not None:
            measured["down_s"] = round(self._down_s, 3)
        if self._no_return or now is None:
            why = self._no_return or f"it ended with exit code {service.exit_code()}"
            return Evidence(False, {**measured, "did_not_return": why[:500]})
        if now == self.first:
            return Evidence(False, {**measured, "same_process": True})
        progress = self.progress(stack, deadline)
        return Evidence(progress.proven and service.alive(), measured | progress.measured)

    def progress(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Prove that it polls or writes; an injector must draw, if a draw is due soon enough.

        A service of the target may have nothing to do: it must run, and not be stopped.
        """
        if self.service == "injector":
            return self._draws_again(stack, deadline)
        if self.service != "watcher":
            return self._runs_again(stack, deadline)
        first, start_s = look_at(stack, self.service), time.monotonic()

        def look(measured: dict[str, Any]) -> bool:
            later = look_at(stack, self.service)
            measured |= {
                "watched_s": round(time.monotonic() - start_s, 3),
                "switches": first.switched(later),
                "written": first.changed(later),
            }
            polled = measured["switches"] > 0 and not later.stopped
            return bool(measured["written"]) or polled

        poll_s = max(_LOOK_S, min(stack.target.poll_interval_s, _POLL_S_MAX))
        deadline.wait(poll_s)
        return probe(look, deadline, poll_s)

    def _runs_again(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            now = look_at(stack, self.service)
            runs = bool(now.processes) and not now.stopped
            if runs:
                measured["path_taken"] = f"{self.service} runs as process {now.processes[0].pid}"
            return runs

        return probe(look, deadline, _LOOK_S)

    def _draws_again(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Prove a new draw; if none is due within the limit, that its process is not stopped."""
        every_s = draw_interval_s(stack)
        due = every_s is not None and every_s * _DRAWS_MISSED < deadline.limit_s
        before = self._draws_before_return
        measured: dict[str, Any] = {"draws_before": before, "draw_interval_s": every_s}
        if not due:
            now = look_at(stack, self.service)
            runs = bool(now.processes) and not now.stopped
            return Evidence(runs, {**measured, "draw_due": False})

        def look(measured: dict[str, Any]) -> bool:
            now = measured["draws"] = draws(stack)
            drawn = now is not None and before is not None and now > before
            if drawn:
                measured["path_taken"] = f"draw {now} after {before}"
            return drawn

        return probe(look, deadline, 0.1, measured)


def _known(service: str, target: Target) -> None:
    """Raise `UnknownName` with the names that the target has, if it has no such service."""
    names = ["watcher", *target.services]
    if service not in names:
        raise unknown_name("service of the target", service, names, place="service")
