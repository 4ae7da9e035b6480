"""The schedule: which fault happens when. Pure: depends only on the plan and its seed.

Times are whole milliseconds, and the random stream is our own (stream.py). So a seed gives the same
schedule in every later version and on every machine.
"""

import sys
from itertools import pairwise
from typing import Any, Self, cast

import msgspec

from chaos.base.errors import UsageError
from chaos.base.units import duration_text
from chaos.plan.placement import (
    ATTEMPTS_MAX,
    Block,
    Placed,
    place_anywhere,
    place_between,
    place_in_windows,
    stretches_needed,
)
from chaos.plan.plan import FaultPlan, Plan, Value
from chaos.plan.stream import Stream
from chaos.record.agreement import content_hash

SCHEMA = 1
LEAD_MS = 2_000  # a fault is armed one second before it strikes
GAP_MS_MIN = 8_000
SLACK_PART = 10  # a storm that is made longer gets a tenth of free time
# The time to place them grows with the square of their number.
OCCURRENCES_MAX = 2000
QUIET_PERIODS_MAX = 50_000  # one each minute of a month


class ScheduledFault(msgspec.Struct, frozen=True):
    """One occurrence; `start_ms` counts from the start of the storm."""

    fault_id: str
    name: str
    start_ms: int
    hold_ms: int
    params: dict[str, Value]


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """All occurrences in order. `hash`: the first 16 hex digits of the SHA-256 of the rest."""

    seed: int
    storm_s: float
    gap_ms: int  # minimum time from the end of a fault to the start of the next
    items: tuple[ScheduledFault, ...]
    hash: str
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Plain data for `schedule.json`."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Inverse of `to_json`. Raises `UsageError` if the schedule was changed."""
        try:
            schedule = msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"not a schedule: {error}", place="schedule.json") from error
        if schedule.hash != content_hash(schedule.to_json()):
            raise UsageError(
                f"the hash {schedule.hash} does not fit the schedule",
                place="schedule.json",
                next_step="the file was changed; draw the schedule again from its seed",
            )
        return schedule


def draw(plan: Plan) -> Schedule:
    """Place every occurrence of every fault of `plan` within its storm.

    With `plan.overlap`, compatible kinds may overlap; otherwise no faults do. Raises `UsageError`
    with the arithmetic if they do not fit.
    """
    storm_ms = round(plan.profile.storm_s * 1000)
    gap_ms = gap_after_ms(plan)
    stream = Stream(plan.seed)
    starts = _place(plan, stream, _blocks(plan, stream, storm_ms), storm_ms, gap_ms)
    starts.sort(key=lambda pair: pair[0])
    items = tuple(
        ScheduledFault(f"f{n:03d}", block.fault.name, start, block.hold_ms, block.fault.params)
        for n, (start, block) in enumerate(starts, start=1)
    )
    schedule = Schedule(
        seed=plan.seed, storm_s=plan.profile.storm_s, gap_ms=gap_ms, items=items, hash=""
    )
    return msgspec.structs.replace(schedule, hash=content_hash(schedule.to_json()))


def storm_needed_s(plan: Plan, *, slack: bool = True) -> float:
    """Length of a storm that fits all faults of `plan` one after the other, in whole seconds.

    `slack`: a tenth more, so that the seed decides where each fault goes.
    """
    slack_part = SLACK_PART if slack else sys.maxsize
    gap_ms = gap_after_ms(plan)
    blocks = _blocks(plan, Stream(plan.seed), round(plan.profile.storm_s * 1000))
    lengths = [block.hold_ms + gap_ms for block in blocks]
    needed_ms = LEAD_MS + sum(lengths) + sum(lengths) // slack_part
    every_ms, quiet_ms = _ms(plan.profile.quiet_every_s), _ms(plan.profile.quiet_period_s)
    if quiet_ms and lengths:
        try:
            count = stretches_needed(lengths, every_ms - quiet_ms - LEAD_MS)
        except ValueError as error:
            raise UsageError(
                f"a fault of {_text(int(str(error)))} with its recovery does not fit between quiet "
                f"periods ({_text(quiet_ms)} in every {_text(every_ms)})",
                place="quiet_every_s",
                next_step="make quiet_every_s longer",
            ) from error
        needed_ms = (count + count // slack_part) * every_ms
    return float(-(-needed_ms // 1000))


def gap_after_ms(plan: Plan) -> int:
    """Time without faults after each fault, in ms.

    It covers the time for which the criteria allow after-effects, so that these are not attributed
    to the next fault.
    """
    allowance_s = plan.criteria.get("heuristic_fallbacks", {}).get("allowance_s", 0)
    return max(GAP_MS_MIN, round(float(allowance_s) * 1000))


def _ms(value: Value) -> int:
    return round(float(value) * 1000)


def _blocks(plan: Plan, stream: Stream, storm_ms: int) -> list[Block]:
    faults = [fault for fault in plan.faults if not fault.control]
    if plan.strikes is None:
        blocks = [block for fault in faults for block in _blocks_of(fault, storm_ms)]
        _check_count(len(blocks), "--fault")
        return blocks
    weights = [fault.weight for fault in faults]
    drawn = [faults[stream.weighted(weights)] for _ in range(plan.strikes)]
    return [Block(fault, _hold_ms(fault), LEAD_MS, storm_ms) for fault in drawn]


def _blocks_of(fault: FaultPlan, storm_ms: int) -> list[Block]:
    """The occurrences of a fault: `count` anywhere, or one in each whole `period`."""
    hold_ms = _hold_ms(fault)
    if "period" not in fault.params:
        return [Block(fault, hold_ms, LEAD_MS, storm_ms)] * int(fault.params["count"])
    period_ms = _ms(fault.params["period"])
    cells = storm_ms // period_ms
    if cells == 0:
        raise UsageError(
            f"the storm of {_text(storm_ms)} has no whole period of {_text(period_ms)}",
            place=f"--fault {fault.name}",
            next_step="give a shorter period, a longer storm (--set storm_s=...), or count=1",
        )
    _check_count(cells, f"--fault {fault.name}")
    return [
        Block(fault, hold_ms, max(LEAD_MS, cell * period_ms), (cell + 1) * period_ms)
        for cell in range(cells)
    ]


def _check_count(count: int, place: str) -> None:
    if count > OCCURRENCES_MAX:
        raise UsageError(
            f"{count} occurrences are more than {OCCURRENCES_MAX}",
            place=place,
            next_step="give a longer period, a smaller count, fewer faults or a shorter storm",
        )


def _hold_ms(fault: FaultPlan) -> int:
    return _ms(fault.params.get("hold", 0))


def _place(
    plan: Plan, stream: Stream, blocks: list[Block], storm_ms: int, gap_ms: int
) -> list[Placed]:
    quiet = quiet_periods_ms(plan)
    confined = any("period" in block.fault.params for block in blocks)
    needed_ms = LEAD_MS + sum(block.hold_ms + gap_ms for block in blocks)
    if blocks and not plan.overlap and needed_ms > storm_ms:
        raise _too_long(blocks, gap_ms, needed_ms, storm_ms)
    placed: list[Placed] | None
    if confined or plan.overlap:
        placed = place_in_windows(stream, blocks, gap_ms, quiet, overlap=plan.overlap)
    elif quiet:
        placed = place_between(stream, blocks, gap_ms, _stretches(quiet, storm_ms))
    else:
        placed = place_anywhere(stream, blocks, gap_ms, LEAD_MS, storm_ms - needed_ms)
    if placed is None:
        raise UsageError(
            f"{len(blocks)} faults with {_text(gap_ms)} of recovery each find no place "
            f"in {ATTEMPTS_MAX} draws",
            place="--fault",
            next_step="use a shorter hold, a longer period, fewer faults or a longer storm",
        )
    return placed


def quiet_periods_ms(plan: Plan) -> list[tuple[int, int]]:
    """(start, end) of each quiet period of the storm, in ms."""
    every_ms, quiet_ms = _ms(plan.profile.quiet_every_s), _ms(plan.profile.quiet_period_s)
    storm_ms = round(plan.profile.storm_s * 1000)
    if not quiet_ms:
        return []
    if quiet_ms >= every_ms:
        raise UsageError(
            f"quiet for {_text(quiet_ms)} in every {_text(every_ms)} leaves no time for faults",
            place="quiet_period_s",
            next_step="quiet_every_s must be longer than quiet_period_s",
        )
    if storm_ms // every_ms > QUIET_PERIODS_MAX:
        raise UsageError(
            f"{storm_ms // every_ms} quiet periods are more than {QUIET_PERIODS_MAX}",
            place="quiet_every_s",
            next_step="make quiet_every_s longer or the storm shorter",
        )
    return [
        (end - quiet_ms, min(end, storm_ms))
        for end in range(every_ms, storm_ms + every_ms, every_ms)
        if end - quiet_ms < storm_ms
    ]


def _stretches(quiet: list[tuple[int, int]], storm_ms: int) -> list[tuple[int, int]]:
    ends = [(LEAD_MS, LEAD_MS), *quiet, (storm_ms, storm_ms)]
    pairs = [(before[1], after[0]) for before, after in pairwise(ends)]
    return [(start, end) for start, end in pairs if end > start]


def _text(ms: int) -> str:
    return duration_text(ms / 1000)


def _too_long(blocks: list[Block], gap_ms: int, needed_ms: int, storm_ms: int) -> UsageError:
    counts: dict[tuple[str, int], int] = {}
    for block in blocks:
        key = (block.fault.name, block.hold_ms)
        counts[key] = counts.get(key, 0) + 1
    sums = " + ".join(
        f"{count} x ({_text(hold)} {name} + {_text(gap_ms)} recovery)"
        for (name, hold), count in counts.items()
    )
    return UsageError(
        f"the faults do not fit: {sums} + {_text(LEAD_MS)} lead = {_text(needed_ms)}, "
        f"the storm has {_text(storm_ms)}",
        place="--fault",
        next_step=f"use a shorter hold, fewer faults, or --set storm_s={-(-needed_ms // 1000)}",
    )
