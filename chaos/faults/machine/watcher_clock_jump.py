"""watcher_clock_jump: the Watcher's wall clock jumps, and jumps back when the fault is over.

Only the Watcher and its child processes get another time (chaos/stack/clock.py). Proven by what
the Watcher writes: a time stamp that agreed with the modification time of its file before differs
from it by the offset now. The checks correct such stamps (chaos/record/clock.py).
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.files import file_tail, json_object
from chaos.base.units import duration_s
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.machine.lowered import PROBE_PAUSE_S, not_running, watcher_of
from chaos.faults.params import FaultParams, Value, text
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Clock, Stack
from chaos.stack.clock import NO_COMPILER, compiler

_NOT_IN_CONTAINERS = "no container has a clock of its own that can be moved: --backend local"
_AGREES_S = 2.0  # between a stamp and the time of its file, on a busy machine
_TAIL_BYTES = 1 << 20
_OFFSET_S_MIN, _OFFSET_S_MAX = 60.0, 366 * 86400.0


@dataclass(frozen=True)
class Stamp:
    """A time stamp, and the modification time of its file (both Unix s)."""

    stamp_s: float
    written_s: float

    @property
    def ahead_s(self) -> float:
        """How far the Watcher's clock is ahead, if the stamp is the time of writing."""
        return self.stamp_s - self.written_s


def offset_s(raw: Value, place: str) -> float:
    """A duration with a sign (+1h, -90s) in seconds; no sign means ahead."""
    match = re.fullmatch(r"([+-]?)(.+)", str(raw).strip())
    if match is None:
        raise UsageError("an offset is missing", place=place, next_step="write +1h or -90s")
    size_s = duration_s(match[2], place=place)
    if not _OFFSET_S_MIN <= size_s <= _OFFSET_S_MAX:
        raise UsageError(
            f"an offset of {size_s:g} s is out of range",
            place=place,
            next_step=f"at least {_OFFSET_S_MIN:g} s either way, and at most a year",
        )
    return -size_s if match[1] == "-" else size_s


class WatcherClockJump(Fault):
    name = "watcher_clock_jump"
    summary = "the Watcher's wall clock jumps ahead or back, and returns"
    group = "machine"
    needs = frozenset({"clock"})
    reconnection_path = WORK_RESUMES

    class Params(FaultParams):
        offset: Annotated[
            float, text("how far the clock is off: +1h, -90s (at least a minute)", parse=offset_s)
        ] = 3600.0

    params: Params

    _since_s = 0.0
    _agreed: Sequence[str] = ()  # stamps that agreed with the time of their file

    @classmethod
    def available_here(cls) -> str | None:
        return None if compiler() else NO_COMPILER

    def available_in(self, planned: PlannedStack) -> str | None:
        if planned.sandboxed and not planned.can_mount:
            return _NOT_IN_CONTAINERS
        return self.available_here()

    def available(self, stack: Stack) -> str | None:
        if watcher_of(stack) is None:
            return not_running(stack)
        if stack.clock is None and stack.sandboxed and not stack.can_mount:
            return _NOT_IN_CONTAINERS
        if stack.clock is None:
            return self.available_here() or "the Watcher was started without a clock to be moved"
        if not _agreeing(stamps(stack), 0.0, 0.0):
            return "neither the ready file nor the decision log has a time stamp to measure by"
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self._agreed = sorted(_agreeing(stamps(stack), 0.0, 0.0))
        self._since_s = time.time()
        return {"clock_offset_s": self.params.offset, "stamps": self._agreed}

    def inject(self, stack: Stack) -> None:
        self._since_s = time.time()
        _clock(stack).set_offset(self.params.offset)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self._measure(stack, deadline, self.params.offset)

    def recover(self, stack: Stack) -> None:
        _clock(stack).set_offset(0.0)
        self._since_s = time.time()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self._measure(stack, deadline, 0.0)

    def _measure(self, stack: Stack, deadline: Deadline, wanted_s: float) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            known = {key: stamp for key, stamp in stamps(stack).items() if key in self._agreed}
            measured["ahead_s"] = {key: round(stamp.ahead_s, 3) for key, stamp in known.items()}
            proof = _agreeing(known, wanted_s, self._since_s)
            if proof:
                measured["proof"] = proof[0]
            return bool(proof)

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0, "offset_s": wanted_s})


def _agreeing(stamps: dict[str, Stamp], ahead_s: float, since_s: float) -> list[str]:
    """The stamps written after `since_s` that are `ahead_s` ahead of their file's time."""
    return [
        key
        for key, stamp in stamps.items()
        if stamp.written_s >= since_s and abs(stamp.ahead_s - ahead_s) <= _AGREES_S
    ]


def _clock(stack: Stack) -> Clock:
    if stack.clock is None:
        raise EnvironmentProblem("the Watcher was started without a clock that can be moved")
    return stack.clock


def stamps(stack: Stack) -> dict[str, Stamp]:
    """The time stamps in the Watcher's ready file and in the last line of its decision log."""
    target = stack.target
    names = [name for name in (target.watcher.ready_file, target.decisions.path) if name]
    return {key: stamp for name in names for key, stamp in _in_file(stack.workspace / name)}


def _in_file(path: Path) -> Iterator[tuple[str, Stamp]]:
    try:
        written_s = path.stat().st_mtime
    except OSError:
        return
    text = file_tail(path, _TAIL_BYTES)
    entry = json_object(text) or json_object(text.rstrip().rpartition(b"\n")[2])
    for key, value in entry.items():
        stamp_s = _unix_s(value)
        if stamp_s is not None:
            yield f"{path.name}:{key}", Stamp(stamp_s, written_s)


def _unix_s(value: Any) -> float | None:
    """An ISO time stamp (UTC unless it names a zone); None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
