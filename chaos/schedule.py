"""The schedule: what happens when. Pure: the same plan and seed give the same schedule anywhere.

Times are whole milliseconds and the random stream is our own, made of SHA-256 over a counter:
neither the methods of Python's `random` nor floating point are promised to give the same
numbers in every version and on every machine, and a schedule must be repeatable years later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from chaos.errors import UsageError
from chaos.plan import FaultPlan, Plan, Value
from chaos.units import duration_text

SCHEMA = 1
LEAD_MS = 2_000  # a fault is armed one second before it strikes
GAP_MS_MIN = 8_000
ATTEMPTS_MAX = 200


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
    gap_ms: int  # least time between the end of one fault and the start of the next
    items: tuple[ScheduledFault, ...]
    hash: str
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Plain data for `schedule.json`."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schedule:
        """The schedule that `to_json` gave; `UsageError` if it was changed since."""
        try:
            schedule = msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"not a schedule: {error}", place="schedule.json") from error
        if schedule.hash != _hash(schedule):
            raise UsageError(
                f"the hash {schedule.hash} does not fit the schedule",
                place="schedule.json",
                next_step="the file was changed; draw the schedule again from its seed",
            )
        return schedule


class Stream:
    """Whole numbers from a seed: block i is SHA-256 of 'chaos-schedule-1:SEED:i'."""

    def __init__(self, seed: int) -> None:
        self._numbers = self._draw(seed)

    @staticmethod
    def _draw(seed: int) -> Iterator[int]:
        index = 0
        while True:
            block = hashlib.sha256(f"chaos-schedule-1:{seed}:{index}".encode()).digest()
            for offset in range(0, 32, 8):
                yield int.from_bytes(block[offset : offset + 8], "big")
            index += 1

    def below(self, limit: int) -> int:
        """Uniform from 0 to `limit` - 1 (rejection sampling: no bias)."""
        ceiling = 2**64 - 2**64 % limit
        return next(number for number in self._numbers if number < ceiling) % limit

    def shuffle(self, items: list[Any]) -> None:
        """In place, every order equally likely."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


@dataclass(frozen=True)
class _Block:
    """An occurrence to be placed: it may start from `earliest_ms` and must end, with its gap,
    by `end_ms`.
    """

    fault: FaultPlan
    hold_ms: int
    earliest_ms: int
    end_ms: int


def draw(plan: Plan) -> Schedule:
    """Place every occurrence of every fault of `plan` within its storm, none overlapping.

    Raises `UsageError` with the arithmetic when they do not fit.
    """
    storm_ms = round(plan.profile.storm_s * 1000)
    gap_ms = gap_after_ms(plan)
    blocks = [b for fault in plan.faults if not fault.control for b in _blocks(fault, storm_ms)]
    needed_ms = LEAD_MS + sum(block.hold_ms + gap_ms for block in blocks)
    if blocks and needed_ms > storm_ms:
        raise _too_long(blocks, gap_ms, needed_ms, storm_ms)
    stream = Stream(plan.seed)
    if any("period" in block.fault.params for block in blocks):
        starts = _place_in_windows(stream, blocks, gap_ms)
    else:
        starts = _place_anywhere(stream, blocks, gap_ms, storm_ms - needed_ms)
    starts.sort(key=lambda pair: pair[0])
    items = tuple(
        ScheduledFault(f"f{n:03d}", block.fault.name, start, block.hold_ms, block.fault.params)
        for n, (start, block) in enumerate(starts, start=1)
    )
    schedule = Schedule(
        seed=plan.seed, storm_s=plan.profile.storm_s, gap_ms=gap_ms, items=items, hash=""
    )
    return msgspec.structs.replace(schedule, hash=_hash(schedule))


def gap_after_ms(plan: Plan) -> int:
    """How long the stack is left alone after a fault: as long as the criteria still allow its
    after-effects, so that those of one fault cannot be taken for those of the next.
    """
    allowance_s = plan.criteria.get("heuristic_fallbacks", {}).get("allowance_s", 0)
    return max(GAP_MS_MIN, round(float(allowance_s) * 1000))


def _hash(schedule: Schedule) -> str:
    content = schedule.to_json()
    del content["hash"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ms(value: Value) -> int:
    return round(float(value) * 1000)


def _blocks(fault: FaultPlan, storm_ms: int) -> list[_Block]:
    """Its occurrences: `count` of them anywhere, or one in each whole `period`."""
    hold_ms = _ms(fault.params.get("hold", 0))
    if "period" not in fault.params:
        return [_Block(fault, hold_ms, LEAD_MS, storm_ms)] * int(fault.params["count"])
    period_ms = _ms(fault.params["period"])
    cells = storm_ms // period_ms
    if cells == 0:
        raise UsageError(
            f"the storm of {_text(storm_ms)} has no whole period of {_text(period_ms)}",
            place=f"--fault {fault.name}",
            next_step="give a shorter period, a longer storm (--set storm_s=...), or count=1",
        )
    return [
        _Block(fault, hold_ms, max(LEAD_MS, cell * period_ms), (cell + 1) * period_ms)
        for cell in range(cells)
    ]


def _place_anywhere(
    stream: Stream, blocks: list[_Block], gap_ms: int, free_ms: int
) -> list[tuple[int, _Block]]:
    """Shuffle the order and share the free time out: every placement is equally likely."""
    order = list(blocks)
    stream.shuffle(order)
    offsets = sorted(stream.below(free_ms + 1) for _ in order)
    starts, taken_ms = [], LEAD_MS
    for block, offset in zip(order, offsets, strict=True):
        starts.append((taken_ms + offset, block))
        taken_ms += block.hold_ms + gap_ms
    return starts


def _place_in_windows(
    stream: Stream, blocks: list[_Block], gap_ms: int
) -> list[tuple[int, _Block]]:
    """One after the other at a random free moment, the most confined first; again if stuck."""
    order = sorted(blocks, key=lambda block: block.end_ms - block.earliest_ms)
    for _ in range(ATTEMPTS_MAX):
        placed: list[tuple[int, _Block]] = []
        for block in order:
            start = _free_moment(stream, block, gap_ms, placed)
            if start is None:
                break
            placed.append((start, block))
        else:
            return placed
    raise UsageError(
        f"{len(blocks)} faults with {_text(gap_ms)} of recovery each find no place "
        f"in {ATTEMPTS_MAX} draws",
        place="--fault",
        next_step="use a shorter hold, a longer period, fewer faults or a longer storm",
    )


def _free_moment(
    stream: Stream, block: _Block, gap_ms: int, placed: list[tuple[int, _Block]]
) -> int | None:
    """A start at which `block` and its gap touch nothing placed, each equally likely."""
    length = block.hold_ms + gap_ms
    taken = sorted((start, start + other.hold_ms + gap_ms) for start, other in placed)
    ranges, free_from = [], block.earliest_ms
    for start, end in [*taken, (block.end_ms, block.end_ms)]:
        last = min(start, block.end_ms) - length
        if last >= free_from:
            ranges.append((free_from, last))
        free_from = max(free_from, end)
    moments = sum(last - first + 1 for first, last in ranges)
    if moments == 0:
        return None
    chosen = stream.below(moments)
    for first, last in ranges:
        if chosen <= last - first:
            return first + chosen
        chosen -= last - first + 1
    return None


def _text(ms: int) -> str:
    return duration_text(ms / 1000)


def _too_long(blocks: list[_Block], gap_ms: int, needed_ms: int, storm_ms: int) -> UsageError:
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
