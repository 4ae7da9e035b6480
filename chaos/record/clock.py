"""Puts time stamps of a daemon whose wall clock was moved on purpose back onto run time.

A fault that moves the clock records by how much (`clock_offset_s`); while it held, each stamp was
off by that. Whether one was written then or merely looks like it (a run may be longer than the
offset) is told by what stands beside it: of both readings the one nearer to its neighbour counts.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chaos.record.fault_window import FaultWindow

_SLACK_S = 0.5  # two clocks, and a stamp is taken a little before it is written


class ClockJump(NamedTuple):
    """From `since_s` to `until_s` (run time) the daemon's clock was `offset_s` ahead."""

    since_s: float
    until_s: float
    offset_s: float

    def true_s(self, stamp_s: float) -> float | None:
        """The run time of a stamp of then; None where it cannot be of then."""
        true_s = stamp_s - self.offset_s
        inside = self.since_s - _SLACK_S <= true_s <= self.until_s + _SLACK_S
        return true_s if inside else None


def jumps_of(faults: Iterable[FaultWindow], end_s: float) -> tuple[ClockJump, ...]:
    """The jumps among the faults of a run that lasted to `end_s`."""
    found = []
    for window in faults:
        offset = window.undo.get("clock_offset_s")
        if isinstance(offset, (int, float)) and window.earliest_s is not None:
            until_s = end_s if window.end_s is None else window.end_s
            found.append(ClockJump(window.earliest_s, until_s, float(offset)))
    return tuple(found)


def put_back_one(stamp_s: float, near_s: float, jumps: Sequence[ClockJump]) -> float:
    """`stamp_s`, or what it was without the jump if that is nearer to `near_s` (run time)."""
    readings = [stamp_s, *(t for jump in jumps if (t := jump.true_s(stamp_s)) is not None)]
    return min(readings, key=lambda reading: abs(reading - near_s))


def put_back(stamps_s: Sequence[float | None], jumps: Sequence[ClockJump]) -> list[float | None]:
    """Correct a column of stamps in the order of their writing: each by the one before it.

    The first one is corrected by the next that no jump can have touched.
    """
    doubtful = [
        stamp is not None and any(jump.true_s(stamp) is not None for jump in jumps)
        for stamp in stamps_s
    ]
    sure = (s for s, doubt in zip(stamps_s, doubtful, strict=True) if s is not None and not doubt)
    near_s = next(sure, 0.0)
    corrected: list[float | None] = []
    for stamp, doubt in zip(stamps_s, doubtful, strict=True):
        if stamp is not None:
            near_s = put_back_one(stamp, near_s, jumps) if doubt else stamp
        corrected.append(None if stamp is None else near_s)
    return corrected
