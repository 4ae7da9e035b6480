"""Puts time stamps of a Watcher whose wall clock was moved on purpose back onto run time.

A fault that moves the clock records by how much (`clock_offset_s`); while it held, each stamp was
off by that. Whether one was written then or merely looks like it (a run may be longer than the
offset) is told by what stands beside it: of both readings the one nearer to its neighbour counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # numpy is not needed to check the names of criteria
    import numpy as np
    import numpy.typing as npt

    from chaos.checks.run_view import FaultWindow

    Times = npt.NDArray[np.float64]

_SLACK_S = 0.5  # two clocks, and a stamp is taken a little before it is written


class ClockJump(NamedTuple):
    """From `since_s` to `until_s` (run time) the Watcher's clock was `offset_s` ahead."""

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
        undo = window.evidence("armed").get("undo")
        offset = undo.get("clock_offset_s") if isinstance(undo, dict) else None
        if isinstance(offset, (int, float)) and window.earliest_s is not None:
            until_s = end_s if window.end_s is None else window.end_s
            found.append(ClockJump(window.earliest_s, until_s, float(offset)))
    return tuple(found)


def put_back_one(stamp_s: float, near_s: float, jumps: Sequence[ClockJump]) -> float:
    """`stamp_s`, or what it was without the jump if that is nearer to `near_s` (run time)."""
    readings = [stamp_s, *(t for jump in jumps if (t := jump.true_s(stamp_s)) is not None)]
    return min(readings, key=lambda reading: abs(reading - near_s))


def put_back(stamps_s: Times, jumps: Sequence[ClockJump], near_s: Times | None = None) -> Times:
    """Correct a column of stamps in place: each by its value in `near_s`, or, where there is no
    such column, by the stamp before it (they stand in the order of their writing).
    """
    import numpy as np

    doubtful = np.zeros(len(stamps_s), dtype=np.bool_)
    for since_s, until_s, offset_s in jumps:
        true_s = stamps_s - offset_s
        doubtful |= (true_s >= since_s - _SLACK_S) & (true_s <= until_s + _SLACK_S)
    for index in np.flatnonzero(doubtful).tolist():
        near = _beside(stamps_s, index, doubtful) if near_s is None else float(near_s[index])
        if near == near:
            stamps_s[index] = put_back_one(float(stamps_s[index]), near, jumps)
    return stamps_s


def _beside(stamps_s: Times, index: int, doubtful: npt.NDArray[np.bool_]) -> float:
    """The nearest stamp before `index`, corrected by now; for the first, the next without doubt."""
    for earlier in range(index - 1, -1, -1):
        if stamps_s[earlier] == stamps_s[earlier]:
            return float(stamps_s[earlier])
    later = stamps_s[index:][~doubtful[index:] & (stamps_s[index:] == stamps_s[index:])]
    return float(later[0]) if len(later) else 0.0
