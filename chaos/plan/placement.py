"""Place faults in a storm: pure arithmetic in whole milliseconds over a random stream.

A block is one occurrence with the recovery after it. Blocks never overlap, unless their kinds are
compatible. No block overlaps a quiet period.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.plan.plan import FaultPlan
from chaos.plan.stream import Stream

ATTEMPTS_MAX = 200


@dataclass(frozen=True)
class Block:
    """An occurrence to place: its start is at or after `earliest_ms`, its gap ends by `end_ms`."""

    fault: FaultPlan
    hold_ms: int
    earliest_ms: int
    end_ms: int


Placed = tuple[int, Block]  # start in ms, from the start of the storm


def place_anywhere(
    stream: Stream, blocks: Sequence[Block], gap_ms: int, lead_ms: int, free_ms: int
) -> list[Placed]:
    """Shuffle the blocks and distribute the free time: every placement is equally likely."""
    order = list(blocks)
    stream.shuffle(order)
    return _share_out(stream, order, gap_ms, lead_ms, free_ms)


def _share_out(
    stream: Stream, order: Sequence[Block], gap_ms: int, from_ms: int, free_ms: int
) -> list[Placed]:
    offsets = sorted(stream.below(free_ms + 1) for _ in order)
    starts, taken_ms = [], from_ms
    for block, offset in zip(order, offsets, strict=True):
        starts.append((taken_ms + offset, block))
        taken_ms += block.hold_ms + gap_ms
    return starts


def place_between(
    stream: Stream, blocks: Sequence[Block], gap_ms: int, stretches: Sequence[tuple[int, int]]
) -> list[Placed] | None:
    """Fill the stretches between quiet periods in a random order; None if they never fit."""
    for _ in range(ATTEMPTS_MAX):
        order = list(blocks)
        stream.shuffle(order)
        shares = _shares(order, gap_ms, stretches)
        if shares is None:
            continue
        placed = []
        for (from_ms, to_ms), share in zip(stretches, shares, strict=True):
            used_ms = sum(block.hold_ms + gap_ms for block in share)
            placed += _share_out(stream, share, gap_ms, from_ms, to_ms - from_ms - used_ms)
        return placed
    return None


def stretches_needed(lengths_ms: Sequence[int], stretch_ms: int) -> int:
    """The number of stretches of `stretch_ms` that hold all lengths (first-fit decreasing).

    Raises `ValueError` with a length that exceeds a stretch.
    """
    left_ms: list[int] = []
    for length_ms in sorted(lengths_ms, reverse=True):
        if length_ms > stretch_ms:
            raise ValueError(length_ms)
        fits = next((i for i, left in enumerate(left_ms) if left >= length_ms), None)
        if fits is None:
            left_ms.append(stretch_ms - length_ms)
        else:
            left_ms[fits] -= length_ms
    return len(left_ms)


def _shares(
    order: Sequence[Block], gap_ms: int, stretches: Sequence[tuple[int, int]]
) -> list[list[Block]] | None:
    """Put each block into the first stretch that has room for it; None if one has none."""
    left_ms = [to_ms - from_ms for from_ms, to_ms in stretches]
    shares: list[list[Block]] = [[] for _ in stretches]
    for block in order:
        length_ms = block.hold_ms + gap_ms
        fits = next((i for i, left in enumerate(left_ms) if left >= length_ms), None)
        if fits is None:
            return None
        left_ms[fits] -= length_ms
        shares[fits].append(block)
    return shares


def place_in_windows(
    stream: Stream,
    blocks: Sequence[Block],
    gap_ms: int,
    quiet: Sequence[tuple[int, int]],
    *,
    overlap: bool,
) -> list[Placed] | None:
    """Place each block at a random free moment, the most confined first; None if that fails."""
    order = sorted(blocks, key=lambda block: block.end_ms - block.earliest_ms)
    for _ in range(ATTEMPTS_MAX):
        placed: list[Placed] = []
        for block in order:
            taken = [
                (start, start + other.hold_ms + gap_ms)
                for start, other in placed
                if not (overlap and block.fault.may_overlap(other.fault))
            ]
            start = _free_moment(stream, block, gap_ms, [*quiet, *taken])
            if start is None:
                break
            placed.append((start, block))
        else:
            return placed
    return None


def _free_moment(
    stream: Stream, block: Block, gap_ms: int, taken: Sequence[tuple[int, int]]
) -> int | None:
    """A start at which `block` and its gap overlap nothing in `taken`, each equally likely."""
    length = block.hold_ms + gap_ms
    ranges, free_from = [], block.earliest_ms
    for start, end in [*sorted(taken), (block.end_ms, block.end_ms)]:
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
