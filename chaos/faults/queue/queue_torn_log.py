"""queue_torn_log: half a line at the end of the decision log, as a killed writer leaves it.

The fault also submits a request, so that the log is written next. Proven by reading the end of the
log back. The Watcher has met it once the log ends in a whole line again; all later lines must be
whole. Source: power cuts, full disks, two writers.
"""

from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.base.files import json_object
from chaos.faults.base import Evidence, PlannedStack, probe
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted, QueueFault
from chaos.faults.queue.requests import tail_of
from chaos.stack.base import Stack

_LINE_BYTES_MAX = 2000  # of the line that the half is taken from


class QueueTornLog(QueueFault):
    name = "queue_torn_log"
    summary = "half a line at the end of the decision log"

    _half = b""

    def available_in(self, planned: PlannedStack) -> str | None:
        if not planned.target.decisions.path:
            return "the target names no log of decisions (records.decisions)"
        return super().available_in(planned)

    def plan(self, stack: Stack) -> list[Planted]:
        return [self.good(stack, "torn_log")]

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        path = stack.workspace / stack.target.decisions.path
        lines = tail_of(path).splitlines() or [b'{"decision": "cut off by a crash"}']
        last = lines[-1][:_LINE_BYTES_MAX]
        self._half = last[: max(1, len(last) // 2)]
        record = super().undo_record(stack)
        return record | {"log": stack.target.decisions.path, "bytes": len(self._half)}

    def inject(self, stack: Stack) -> None:
        super().inject(stack)
        path = stack.workspace / stack.target.decisions.path
        with os_errors_told("cannot write the half line", path), path.open("ab") as stream:
            stream.write(self._half)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        path = stack.workspace / stack.target.decisions.path

        def look(measured: dict[str, Any]) -> bool:
            log = tail_of(path)
            if log.rpartition(b"\n")[2] == self._half:
                measured |= {"torn": True, "log_ends_in": self._half[-60:].decode(errors="replace")}
            elif measured["torn"] and log.endswith(b"\n"):
                measured["path_taken"] = "the Watcher met half a line, and the log is whole again"
            return "path_taken" in measured

        untouched = {"bytes": len(self._half), "torn": False}
        measured = probe(look, deadline, LOOK_PAUSE_S, untouched).measured
        return Evidence(bool(measured["torn"]), measured)

    def problems(self, stack: Stack) -> list[str]:
        log = tail_of(stack.workspace / stack.target.decisions.path)
        wrong = [line for line in log.split(b"\n")[1:-1] if not json_object(line)]
        torn = [] if log.endswith(b"\n") or not log else ["the log ends in half a line"]
        damaged = [f"{len(wrong)} lines of the log are damaged"] if wrong else []
        return super().problems(stack) + torn + damaged
