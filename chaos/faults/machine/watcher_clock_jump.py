"""watcher_clock_jump: the Watcher's wall clock jumps, and jumps back when the fault is over.

Only the Watcher and what it starts are told another time (chaos/stack/clock.py); for everybody
else, and for the kernel, it goes on as it was. Proven by what the Watcher writes: a time stamp
that agreed with the time of its file before is off by just the offset now. Judges put such
stamps back by the recorded offset (chaos/checks/clock.py).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.units import duration_s
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Fault, Group, Param, Value
from chaos.faults.machine.lowered import PROBE_PAUSE_S, not_running, watcher_of
from chaos.faults.machine.stamps import Stamp, stamps
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Clock, Stack
from chaos.stack.clock import NO_COMPILER, compiler

_AGREES_S = 2.0  # between a stamp and the time of its file, on a busy machine
_OFFSET_S_MIN, _OFFSET_S_MAX = 60.0, 366 * 86400.0


@dataclass(frozen=True)
class Offset(Param):
    """A duration with a sign: +1h, -90s; without one it is ahead."""

    def parse(self, raw: Value, *, place: str) -> Value:
        """Seconds, negative for a clock that is behind; `UsageError` with what was expected."""
        where = f"{place} {self.name}".strip()
        match = re.fullmatch(r"([+-]?)(.+)", str(raw).strip())
        if match is None:
            raise UsageError("an offset is missing", place=where, next_step="write +1h or -90s")
        size_s = duration_s(match[2], place=where)
        if not _OFFSET_S_MIN <= size_s <= _OFFSET_S_MAX:
            raise UsageError(
                f"an offset of {size_s:g} s is out of range",
                place=where,
                next_step=f"at least {_OFFSET_S_MIN:g} s either way, and at most a year",
            )
        return -size_s if match[1] == "-" else size_s


class WatcherClockJump(Fault):
    """See the module."""

    name: ClassVar[str] = "watcher_clock_jump"
    summary: ClassVar[str] = "the Watcher's wall clock jumps ahead or back, and returns"
    group: ClassVar[Group] = "machine"
    needs: ClassVar[frozenset[str]] = frozenset({"clock"})
    reconnection_path: ClassVar[str] = WORK_RESUMES
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Offset(
            "offset",
            "text",
            "how far the clock is off: +1h, -90s (at least a minute)",
            default=3600.0,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._offset_s = float(values["offset"])
        self._agreed: set[str] = set()  # stamps that say when their file was written
        self._since_s = 0.0

    @classmethod
    def available_here(cls) -> str | None:
        """With a C compiler."""
        return None if compiler() else NO_COMPILER

    def available(self, stack: Stack) -> str | None:
        """Where the Watcher was started with a clock that can be moved, and writes time stamps."""
        if watcher_of(stack) is None:
            return not_running(stack)
        if stack.clock is None and stack.sandboxed and not stack.can_mount:
            return "no container has a clock of its own that can be moved: --backend local"
        if stack.clock is None:
            return self.available_here() or "the Watcher was started without a clock to be moved"
        if not _agreeing(stamps(stack), 0.0, 0.0):
            return "neither the ready file nor the decision log has a time stamp to measure by"
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The offset, for judges; and by which stamps it can be measured."""
        self._agreed = set(_agreeing(stamps(stack), 0.0, 0.0))
        self._since_s = time.time()
        return {"clock_offset_s": self._offset_s, "stamps": sorted(self._agreed)}

    def inject(self, stack: Stack) -> None:
        """Move it."""
        self._since_s = time.time()
        _clock(stack).set_offset(self._offset_s)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A stamp written since is off by the offset."""
        return self._measure(stack, deadline, self._offset_s)

    def recover(self, stack: Stack) -> None:
        """Move it back."""
        _clock(stack).set_offset(0.0)
        self._since_s = time.time()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A stamp written since agrees with the time of its file again."""
        return self._measure(stack, deadline, 0.0)

    def _measure(self, stack: Stack, deadline: Deadline, wanted_s: float) -> Evidence:
        measured: dict[str, Any] = {"attempts": 0, "offset_s": wanted_s}
        while not deadline.expired():
            measured["attempts"] += 1
            found = {key: one for key, one in stamps(stack).items() if key in self._agreed}
            measured["ahead_s"] = {key: round(one.ahead_s, 3) for key, one in found.items()}
            proof = _agreeing(found, wanted_s, self._since_s)
            if proof:
                measured["proof"] = proof[0]
                return Evidence(True, measured)
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)


def _agreeing(found: dict[str, Stamp], ahead_s: float, since_s: float) -> list[str]:
    """Those written after `since_s` that are ahead of their file's time by so much."""
    return [
        key
        for key, one in found.items()
        if one.written_s >= since_s and abs(one.ahead_s - ahead_s) <= _AGREES_S
    ]


def _clock(stack: Stack) -> Clock:
    if stack.clock is None:
        raise EnvironmentProblem("the Watcher was started without a clock that can be moved")
    return stack.clock
