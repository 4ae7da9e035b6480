"""queue_torn_log: half a line at the end of the decision log, as a dying writer leaves it.

It is written while the Watcher makes up its mind about a request that the fault submits with it, so
that the log is used next. Proven by reading the end of the log back; it was met once the log is
whole again. Every line behind must be whole. Source: power cuts, full disks, two writers.
"""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import Evidence, Value
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted, QueueFault
from chaos.faults.queue.decided import tail_of
from chaos.stack.base import Stack

_LINE_BYTES_MAX = 2000  # of the line that the half is taken from


class QueueTornLog(QueueFault):
    """See the module."""

    name: ClassVar[str] = "queue_torn_log"
    summary: ClassVar[str] = "half a line at the end of the decision log"

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._half = b""
        self._before = b""  # the last bytes of the log before the fault

    def plan(self, stack: Stack) -> list[Planted]:
        """The request whose decision comes next."""
        return [self.good(stack, "torn_log")]

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Where the half goes, and how long it is."""
        path = stack.workspace / stack.target.decisions.path
        lines = tail_of(path).splitlines() or [b'{"decision": "cut off by a crash"}']
        last = lines[-1][:_LINE_BYTES_MAX]
        self._half = last[: max(1, len(last) // 2)]
        record = super().undo_record(stack)
        return record | {"log": stack.target.decisions.path, "bytes": len(self._half)}

    def inject(self, stack: Stack) -> None:
        """Submit the request, then write the half line."""
        super().inject(stack)
        path = stack.workspace / stack.target.decisions.path
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            handle = os.open(path, flags, 0o644)
            try:
                os.write(handle, self._half)
            finally:
                os.close(handle)
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot write the half line: {error.strerror}", place=str(path)
            ) from error

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The log ends in the half line; looks on until it is whole again."""
        path = stack.workspace / stack.target.decisions.path
        measured: dict[str, Any] = {"bytes": len(self._half), "torn": False}
        while True:
            log = tail_of(path)
            if _last_line(log) == self._half:
                measured |= {"torn": True, "log_ends_in": self._half[-60:].decode(errors="replace")}
            elif measured["torn"] and log.endswith(b"\n"):
                measured["path_taken"] = "the Watcher met half a line, and the log is whole again"
                break
            if not deadline.wait(LOOK_PAUSE_S):
                break
        return Evidence(bool(measured["torn"]), measured)

    def amiss(self, stack: Stack) -> list[str]:
        """As ever, and the log has whole lines only."""
        log = tail_of(stack.workspace / stack.target.decisions.path)
        wrong = [line for line in log.split(b"\n")[1:-1] if not _is_entry(line)]
        torn = [] if log.endswith(b"\n") or not log else ["the log ends in half a line"]
        damaged = [f"{len(wrong)} lines of the log are damaged"] if wrong else []
        return super().amiss(stack) + torn + damaged


def _last_line(log: bytes) -> bytes:
    """What stands behind the last newline."""
    return log.rpartition(b"\n")[2]


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
