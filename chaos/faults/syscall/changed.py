"""syscall_error, syscall_slow: calls of the Watcher and its children fail, or come late.

A disk that returns EIO now and then, a table of descriptors that is full for a moment, a file
system that takes its time with one call: failures of single calls, which no full volume and no
limit can show one at a time. A call that fails is not done.

With `may_end=yes` the Watcher may also end at the error, if what it prints or logs then names the
error or the path: it is started again as its users start it. One that ends without a word is
recorded so (`said`), and found by `watcher_alive`. Source: seccomp_unotify(2), errno(3).
"""

import errno
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.base.errors import unknown_name
from chaos.faults.base import Evidence, probe
from chaos.faults.params import Value, number, text
from chaos.faults.process.service import ServiceFault
from chaos.faults.syscall.last_words import LastWords, naming
from chaos.faults.syscall.power import calls_of
from chaos.faults.syscall.rule import CallFault, CallParams, ChosenParams, rules
from chaos.stack.base import Stack
from chaos.witness.files import waiting_requests

_LOOK_S = 0.02
_SETTLED_S = 2.0  # a Watcher that has no work left and lives so long after the error has survived
_RECORD_S = 2.0  # for the witness to write what it has seen


def _error(raw: Value, place: str) -> Value:
    """The name of an error of errno(3)."""
    name = str(raw).upper()
    if name not in errno.errorcode.values():
        raise unknown_name("error", str(raw), errno.errorcode.values(), place=place)
    return name


class SyscallError(CallFault):
    name = "syscall_error"
    summary = "single system calls of the Watcher fail, by EIO, ENOSPC or another error"
    action = "fail"

    class Params(ChosenParams):
        error: Annotated[
            str, text("what the call fails with: the name of an error (errno)", parse=_error)
        ] = "EIO"
        may_end: Annotated[
            Literal["no", "yes"],
            text("yes: the Watcher may end at the error if it names it, and is then started again"),
        ] = "no"

    params: Params

    _words: LastWords
    _end: dict[str, Any] | None = None  # how it ended at the error

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        if self.params.may_end == "yes":
            self.ends = frozenset({self.service})

    def rule(self) -> dict[str, Any]:
        return {**super().rule(), "error": self.params.error}

    def inject(self, stack: Stack) -> None:
        self._words = LastWords(stack)
        super().inject(stack)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        if self.params.may_end == "no":
            return super().effect(stack, deadline)

        def look(measured: dict[str, Any]) -> bool:
            words = LastWords(stack)
            struck = self.struck(stack, measured)
            if not struck:
                self._words = words  # what it printed before the error does not count
            return struck

        evidence = probe(look, deadline, _LOOK_S)
        if not evidence.proven:
            return evidence.plus(reason=self.missed(evidence))
        settled = Deadline(_SETTLED_S)
        while self.first.lives() and deadline.wait(_LOOK_S):
            if settled.expired() and not waiting_requests(stack.workspace, stack.target.work):
                break
        return evidence

    def recover(self, stack: Stack) -> None:
        super().recover(stack)
        if self.params.may_end == "no" or not self.final.struck or self.first.lives():
            return
        if self._end is None:
            self.mark_down()
            self._end = self._ended(stack)
        ServiceFault.recover(self, stack)

    def _ended(self, stack: Stack) -> dict[str, Any]:
        """Its exit code, the line that names the error, and the last line."""
        service, deadline = stack.service(self.service), Deadline(_RECORD_S)
        while service.alive() and deadline.wait(_LOOK_S):  # its other threads may end later
            pass
        lines, paths = self._words.lines(), self._failed_paths(stack)
        return {
            "exit_code": service.exit_code(),
            "said": naming(lines, self.params.error, paths),
            "last_words": lines[-1] if lines else "",
        }

    def _failed_paths(self, stack: Stack) -> list[str]:
        """The paths of the calls that failed, once the witness has written its record."""
        deadline = Deadline(_RECORD_S)
        while True:
            seen = calls_of(rules(stack).record, self.service)
            failed = [line for line in seen if line.get("rule") == self.fault_id]
            if failed or not deadline.wait(_LOOK_S):
                return [line[key] for line in failed for key in ("path", "to") if key in line]

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        if self._end is None:
            return super().recovered(stack, deadline)
        measured: dict[str, Any] = dict(self._end)
        if not self.rule_gone(stack, measured):
            return Evidence(False, measured)
        return ServiceFault.recovered(self, stack, deadline).plus(**measured)


class SyscallSlow(CallFault):
    name = "syscall_slow"
    summary = "single system calls of the Watcher take long"
    action = "delay"

    class Params(CallParams):
        delay_ms: Annotated[int, number("how long each matching call waits", 1, 60000)] = 300

    params: Params

    def rule(self) -> dict[str, Any]:
        return {**super().rule(), "delay_ms": self.params.delay_ms}
