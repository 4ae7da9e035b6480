"""syscall_crash: the Watcher is killed at one of its own system calls, before the call happens.

A kill at a random moment seldom hits the short time between two calls that belong together: a file
is published and its decision is not written, a decision is written and its request is not archived.
Here the moment is a call: the n-th rename of `*/archive/*`, say. Calls of the Watcher's children
count only with `who`. Proven by the witness, which ended the process, and by its end by signal 9;
recovered by a new process that is ready and works. A child that was ended is the Watcher's to
notice: proven by the witness alone, and recovered if the Watcher works on. Source:
seccomp_unotify(2), signal(7).
"""

import signal
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, probe
from chaos.faults.params import duration, number, text
from chaos.faults.process.service import ServiceFault
from chaos.faults.syscall.power import calls_of, files_below, lost_in, take_away
from chaos.faults.syscall.rule import CallFault, CallParams, rules
from chaos.record.recovery_paths import PROCESS_DIED, WATCHER_RESTART
from chaos.stack.base import Stack

_DEAD_S_MIN = 2.0  # the last part of the hold, in which no call is waited for
_LOOK_S = 0.02
_RECORD_S = 2.0  # for the witness to write what it has seen
_CHILD_S = 0.5  # within it the Watcher has ended, or a child of it was struck


class SyscallCrash(CallFault):
    name = "syscall_crash"
    summary = "the Watcher is killed (SIGKILL) at a system call, before it happens"
    ends = frozenset({"watcher"})
    triage_path = PROCESS_DIED
    reconnection_path = WATCHER_RESTART
    action = "kill"

    class Params(CallParams):
        hold: Annotated[
            float, duration("the wait for the call and the time it stays dead", 4.0, 86400)
        ] = 10.0
        nth: Annotated[int, number("the matching call at which it ends", 1, 10000)] = 1
        who: Annotated[
            Literal["watcher", "any", "all"],
            text(
                "whose calls count, and who ends: watcher, without its children; any: the process "
                "that makes the call; all: at any such call the Watcher and its children"
            ),
        ] = "watcher"

        power: Annotated[
            Literal["stays", "fails"],
            text(
                "fails: what no fsync has made durable is taken from the files before the restart "
                "(with who=all)"
            ),
        ] = "stays"

        def problem(self) -> str:
            """A power cut ends everything."""
            alone = self.power == "fails" and self.who != "all"
            return "power=fails needs who=all" if alone else ""

    params: Params

    _crashed = False
    _before: frozenset[str] = frozenset()
    _lost: tuple[str, ...] = ()

    def rule(self) -> dict[str, Any]:
        who = self.params.who
        pid = self.first.pid if who == "watcher" else 0
        return {**super().rule(), "nth": self.params.nth, "pid": pid, "whole": who == "all"}

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            return self.struck(stack, measured) or deadline.left_s() < _DEAD_S_MIN

        waited = probe(look, deadline, _LOOK_S)
        super().recover(stack)  # no crash after the wait
        self._crashed = self.struck(stack, waited.measured)
        if not self._crashed:
            return Evidence(False, {**waited.measured, "reason": self.missed(waited)})
        if self.params.who == "any" and self._struck_a_child():
            self._crashed = False
            where = f"{self.params.call} call"
            return Evidence(
                True, {**waited.measured, "path_taken": f"a child ended by signal 9 at its {where}"}
            )
        self.mark_down()
        end = self.gone(stack, deadline).plus(**waited.measured)
        if not end.proven or end.measured["exit_code"] != -signal.SIGKILL:
            return Evidence(False, end.measured)
        where = f"{self.params.call} call"
        return end.plus(path_taken=f"process {self.first.pid} ended by signal 9 at its {where}")

    def _struck_a_child(self) -> bool:
        deadline = Deadline(_CHILD_S)
        while self.first.lives():
            if not deadline.wait(_LOOK_S):
                return True
        return False

    def inject(self, stack: Stack) -> None:
        if self.params.power == "fails":
            self._before = files_below(stack.workspace)
        super().inject(stack)

    def recover(self, stack: Stack) -> None:
        super().recover(stack)
        if self._crashed and self.params.power == "fails":
            self._lost = tuple(self._lose(stack))
        ServiceFault.recover(self, stack)

    def _lose(self, stack: Stack) -> list[str]:
        """Take what was not durable, once the witness has written all of its record."""
        root = str(stack.workspace)
        deadline = Deadline(_RECORD_S)
        while not any("rule" in line for line in self._seen(stack)) and deadline.wait(_LOOK_S):
            pass
        return take_away(stack.workspace, lost_in(self._seen(stack), root, self._before))

    def _seen(self, stack: Stack) -> list[dict[str, Any]]:
        return list(calls_of(rules(stack).record, self.service))

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        if not self._crashed:  # nothing was broken
            return super().recovered(stack, deadline)
        measured: dict[str, Any] = {}
        if not self.rule_gone(stack, measured):
            return Evidence(False, measured)
        if self.params.power == "fails":
            measured["lost"] = list(self._lost)
        return ServiceFault.recovered(self, stack, deadline).plus(**measured)
