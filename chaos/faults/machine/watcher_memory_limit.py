"""watcher_memory_limit: the Watcher, and what it starts, may not grow beyond a little headroom.

The soft limit of the address space is set to what the Watcher has, plus `headroom`. It may die of
it, or its dispatches may fail; recovery puts the limit back and starts it again if it died, as a
service manager would. Proven by the kernel's own list of its limits, and by a process of the
Watcher's size under the Watcher's limit: it cannot have the headroom and a little more, which it
could before. Source: setrlimit(2), RLIMIT_AS.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Param, Value
from chaos.faults.machine import limits
from chaos.faults.machine.lowered import PROBE_PAUSE_S, LoweredLimit, watcher_of
from chaos.faults.machine.script import answer_of
from chaos.faults.process.identity import Identity
from chaos.stack.base import Stack

MB = 1 << 20
_PROBE_LIMIT_S = 5.0
_MORE_BYTES = 8 * MB


class WatcherMemoryLimit(LoweredLimit):
    """See the module."""

    name: ClassVar[str] = "watcher_memory_limit"
    summary: ClassVar[str] = "the Watcher and what it starts may hardly allocate any more memory"
    # Without memory neither a connection to the LLM nor its answer can be had.
    affects_llm: ClassVar[bool] = True
    ends: ClassVar[frozenset[str]] = frozenset({"watcher"})
    resource: ClassVar[int] = resource.RLIMIT_AS
    row: ClassVar[str] = "Max address space"
    recovery_limit_s: ClassVar[float] = 40.0  # it may have to be started again
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "headroom",
            "number",
            "MB that the Watcher may still grow by",
            default=16.0,
            min=0.0,
            max=100_000.0,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._headroom_bytes = int(float(values["headroom"]) * MB)
        self._got_before = ""

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The limits, and what a process of the Watcher's size gets under them."""
        record = super().undo_record(stack)
        watcher = watcher_of(stack)
        if watcher is not None:
            self._got_before = self._ask(watcher, {})
        return {**record, "got_before": self._got_before}

    def low(self, stack: Stack, watcher: Identity) -> int:
        """What it has now, and the headroom."""
        return _size_bytes(watcher) + self._headroom_bytes

    def _ask(self, watcher: Identity, measured: dict[str, Any]) -> str:
        """What a process of the Watcher's size and limit gets when it asks for more."""
        now = limits.soft_and_hard(watcher.pid, self.resource) if watcher.lives() else None
        if now is None:
            return "the Watcher is gone"
        size_bytes, ask_bytes = _size_bytes(watcher), self._headroom_bytes + _MORE_BYTES
        got = answer_of("room_probe.py", (now[0], size_bytes, ask_bytes), _PROBE_LIMIT_S)
        measured |= {
            "watcher_mb": round(size_bytes / MB, 1),
            "asked_mb": round(ask_bytes / MB, 1),
            "got": got,
        }
        return got

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The limit is in force, and keeps memory back that could be had before."""
        measured: dict[str, Any] = {"attempts": 0, "got_before": self._got_before}
        while not deadline.expired():
            measured["attempts"] += 1
            watcher = watcher_of(stack)
            if watcher is None:
                measured["watcher"] = "has ended"
            elif self.in_force(watcher, measured):
                got = self._ask(watcher, measured)
                if got == "ENOMEM" and self._got_before == "ok":
                    return Evidence(True, measured)
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)

    def recover(self, stack: Stack) -> None:
        """Put the limits back, and start the Watcher if it has died."""
        super().recover(stack)
        stack.service("watcher").start()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A Watcher runs, without the limit, and the memory can be had again."""
        measured: dict[str, Any] = {"attempts": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            watcher = watcher_of(stack)
            if watcher is None:
                measured["watcher"] = "has ended"
            elif not self.in_force(watcher, measured) and self._ask(watcher, measured) == "ok":
                first = self.before[0]["pid"] if self.before else None
                measured["watcher"] = "survived" if watcher.pid == first else "started anew"
                return Evidence(True, measured)
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)


def _size_bytes(watcher: Identity) -> int:
    """Its address space, 0 when it is gone."""
    try:
        pages = Path(f"/proc/{watcher.pid}/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()
