"""watcher_memory_limit: the Watcher and its child processes may hardly allocate memory.

The soft limit of the address space is set to the Watcher's size plus `headroom`. The Watcher may
die of it, or its dispatches may fail. Recovery restores the limit and starts the Watcher again if
it died. Proven by /proc/PID/limits, and by a process of the Watcher's size with the Watcher's
limit: it cannot allocate the headroom and a little more, which it could before.
Source: setrlimit(2), RLIMIT_AS.
"""

import resource
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity, address_space_bytes
from chaos.faults.base import Evidence
from chaos.faults.machine.lowered import (
    LoweredLimit,
    probe_watcher,
    soft_and_hard,
    watcher_of,
)
from chaos.faults.params import FaultParams, number
from chaos.faults.program import answer_of
from chaos.stack.base import Stack

MB = 1 << 20
_PROBE_LIMIT_S = 5.0
_MORE_BYTES = 8 * MB
_ROOM_PROBE = Path(__file__).with_name("room_probe.py")


class WatcherMemoryLimit(LoweredLimit):
    name = "watcher_memory_limit"
    summary = "the Watcher and what it starts may hardly allocate any more memory"
    affects_llm = True  # a connection and an answer need memory
    ends = frozenset({"watcher"})
    resource = resource.RLIMIT_AS
    row = "Max address space"
    recovery_limit_s = 40.0  # it may have to be started again

    class Params(FaultParams):
        headroom: Annotated[
            float, number("MB that the Watcher may still grow by", 0.0, 100_000.0)
        ] = 16.0

    params: Params

    _got_before = ""

    @property
    def _headroom_bytes(self) -> int:
        return int(self.params.headroom * MB)

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        record = super().undo_record(stack)
        watcher = watcher_of(stack)
        if watcher is not None:
            self._got_before = self._ask(watcher, {})
        return {**record, "got_before": self._got_before}

    def low(self, stack: Stack, watcher: Identity) -> int:
        return address_space_bytes(watcher.pid) + self._headroom_bytes

    def _ask(self, watcher: Identity, measured: dict[str, Any]) -> str:
        """What a process of the Watcher's size and limit gets when it allocates more memory."""
        now = soft_and_hard(watcher.pid, self.resource) if watcher.lives() else None
        if now is None:
            return "the Watcher has ended"
        size_bytes, ask_bytes = address_space_bytes(watcher.pid), self._headroom_bytes + _MORE_BYTES
        got = answer_of(_ROOM_PROBE, now[0], size_bytes, ask_bytes, limit_s=_PROBE_LIMIT_S)
        measured |= {
            "watcher_mb": round(size_bytes / MB, 1),
            "asked_mb": round(ask_bytes / MB, 1),
            "got": got,
        }
        return got

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(watcher: Identity, measured: dict[str, Any]) -> bool:
            if not self.in_force(watcher, measured):
                return False
            return self._ask(watcher, measured) == "ENOMEM" and self._got_before == "ok"

        return probe_watcher(stack, look, deadline, {"got_before": self._got_before})

    def recover(self, stack: Stack) -> None:
        super().recover(stack)
        stack.service("watcher").start()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(watcher: Identity, measured: dict[str, Any]) -> bool:
            if self.in_force(watcher, measured) or self._ask(watcher, measured) != "ok":
                return False
            first = self.before[0]["pid"] if self.before else None
            measured["watcher"] = "survived" if watcher.pid == first else "started anew"
            return True

        return probe_watcher(stack, look, deadline)
