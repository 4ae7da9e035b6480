"""syscall_error, syscall_slow: calls of the Watcher and its children fail, or come late.

A disk that returns EIO now and then, a table of descriptors that is full for a moment, a file
system that takes its time with one call: failures of single calls, which no full volume and no
limit can show one at a time. A call that fails is not done. Source: seccomp_unotify(2), errno(3).
"""

import errno
from typing import Annotated, Any

from chaos.base.errors import unknown_name
from chaos.faults.params import Value, number, text
from chaos.faults.syscall.rule import CallFault, CallParams, ChosenParams


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

    params: Params

    def rule(self) -> dict[str, Any]:
        return {**super().rule(), "error": self.params.error}


class SyscallSlow(CallFault):
    name = "syscall_slow"
    summary = "single system calls of the Watcher take long"
    action = "delay"

    class Params(CallParams):
        delay_ms: Annotated[int, number("how long each matching call waits", 1, 60000)] = 300

    params: Params

    def rule(self) -> dict[str, Any]:
        return {**super().rule(), "delay_ms": self.params.delay_ms}
