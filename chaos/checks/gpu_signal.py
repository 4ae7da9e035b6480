"""One signal of GPU memory, judged: a device as a whole, or what one owner holds of it.

The level before the stack was started (or else the lowest at first) is the baseline. Growth is
judged over the run and, over the stops of the LLM server, per request. Knows no finding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.checks.finding import Outcome, plural
from chaos.checks.gpu_rest import Low, Readings, Rests
from chaos.checks.growth.trend import BLOCKS, Block, growth

_MB = 1e6
OTHER = "other"
LLM = "llm"
WATCHER = "watcher"


@dataclass(frozen=True)
class Judged:
    """What is said of one signal. `outside`: nobody of the stack holds what is too much."""

    name: str
    outcome: Outcome
    text: str
    grown_mb: float
    line: int
    outside: bool = False


def compared(rests: Rests, values: Readings) -> tuple[Low | None, Low | None, str]:
    """(at first, at last, what was compared), like with like.

    Where the server was seen stopped for long in one third only, the lowest of the thirds would be
    a model apart: then what is usual while it runs is compared.
    """
    stopped = [values.seen_stopped(third) for third in (rests.early, rests.late)]
    if stopped[0] != stopped[1]:
        early, late = values.middle(rests.early), values.middle(rests.late)
        return early, late, "usual use"
    return values.low(rests.early), values.low(rests.late), "lowest use"


def judged_device(rests: Rests, key: str, limit_mb: float, limit_mb_per_request: float) -> Judged:
    """A GPU, or a MIG instance."""
    name = key.partition(".")[0]
    values = rests.readings(key)
    early, late, what = compared(rests, values)
    if early is None or late is None:
        text = f"{name} was sampled too rarely in the first or the last third"
        return Judged(name, "inconclusive", text, 0.0, rests.run.lines or 1)
    grown_mb = (late.used_bytes - early.used_bytes) / _MB
    before, why = rests.before_stack(name)
    baseline = early.used_bytes if before is None else before
    where = f"at first (the level before the stack: {why})" if why else "before the stack"
    text = (
        f"{name}: {baseline / _MB:.0f} MB {where}, {what} {early.used_bytes / _MB:.0f} MB in the "
        f"first third, {late.used_bytes / _MB:.0f} MB in the last one ({grown_mb:+.0f} MB)"
    )
    left_mb, left = _left_over(rests, key, before)
    if left_mb > limit_mb:
        text += f", and {left_mb:.0f} MB over the baseline {left}"
    excess_mb = max(grown_mb, left_mb)
    if excess_mb > limit_mb:
        outside = _held_by_others_mb(rests, name) >= excess_mb - limit_mb
        text += ", held by processes that are no part of the stack" if outside else ": not freed"
        outcome: Outcome = "inconclusive" if outside else "fail"
        return Judged(name, outcome, text, excess_mb, late.line, outside)
    return _by_request(rests, name, values, text, (grown_mb, late.line), limit_mb_per_request)


def _left_over(rests: Rests, key: str, before: float | None) -> tuple[float, str]:
    """(MB above the level before the stack, when): while the server was stopped at last.

    The work of a dispatch is done in just that time, so the lowest of several stops counts, and
    what the Watcher's processes hold is left out where it is told: it is judged by itself.
    """
    values = rests.readings(key, less=f"{key.partition('.')[0]}.{WATCHER}_bytes")
    stops = [span for span in rests.llm_stops if span[0] >= rests.late[0]]
    lows = values.lows(stops)
    if before is None or not lows:
        return 0.0, ""
    lowest = min(one.used_bytes for one in lows)
    return (lowest - before) / _MB, f"while the LLM server was stopped ({len(lows)}x)"


def _held_by_others_mb(rests: Rests, device: str) -> float:
    """How much more others hold at last than at first; 0 where that is not told."""
    values = rests.readings(f"{device}.{OTHER}_bytes")
    late = values.low(rests.late)
    if late is None:
        return 0.0
    early = values.low(rests.early)
    return (late.used_bytes - (0.0 if early is None else early.used_bytes)) / _MB


def judged_owner(
    rests: Rests, key: str, limit_mb: float, limit_mb_per_request: float
) -> Judged | None:
    """What one service holds; others are only looked at to explain a device."""
    device, _, field = key.partition(".")
    owner = field.removesuffix("_bytes")
    if owner == OTHER:
        return None
    name = f"{owner} on {device}"
    values = rests.readings(key)
    early, late, what = compared(rests, values)
    grown_mb, line = 0.0, rests.run.lines or 1
    text = f"{name}: seen in part of the run only"
    if late is not None:
        # Who held nothing at first has no number then.
        first = 0.0 if early is None else early.used_bytes
        grown_mb, line = (late.used_bytes - first) / _MB, late.line
        text = (
            f"{name}: {what} {first / _MB:.0f} MB in the first third, "
            f"{late.used_bytes / _MB:.0f} MB in the last one ({grown_mb:+.0f} MB)"
        )
    if grown_mb > limit_mb and early is not None:
        return Judged(name, "fail", text + ": not freed", grown_mb, line)
    kept = _kept(rests, name, owner, values, limit_mb)
    if kept is not None:
        return kept
    return _by_request(rests, name, values, text, (grown_mb, line), limit_mb_per_request)


def _kept(rests: Rests, name: str, owner: str, values: Readings, limit_mb: float) -> Judged | None:
    """Memory that was still held when it had to be free; None where it was free each time."""
    if owner == LLM:
        spans, one, when, baseline = rests.llm_stops, "stop", "of the LLM server", 0.0
    else:
        spans, one, when = rests.gaps, "gap", "between dispatches"
        baseline = values.at_first
    lows = values.lows(spans)
    kept = [low for low in lows if (low.used_bytes - baseline) / _MB > limit_mb]
    if not kept:
        return None
    worst = max(kept, key=lambda low: low.used_bytes)
    text = (
        f"{name}: not freed in {len(kept)} of {plural(len(lows), one)} {when}, "
        f"{worst.used_bytes / _MB:.0f} MB still held at {worst.t_s:.1f} s "
        f"({baseline / _MB:.0f} MB at first)"
    )
    return Judged(name, "fail", text, (worst.used_bytes - baseline) / _MB, worst.line)


def _by_request(
    rests: Rests,
    name: str,
    values: Readings,
    text: str,
    grown: tuple[float, int],
    limit_mb_per_request: float,
) -> Judged:
    """The lowest of each stop of the LLM server, against the requests completed by then."""
    lows = values.lows(rests.llm_stops)
    found = growth(_grouped(lows), limit_mb_per_request * _MB, per_work=True)
    if found.slope is None:
        text += "; too few stops of the LLM server were seen to judge per request"
    else:
        text += f"; {found.slope.value / _MB:+.2f} MB per request at rest"
    outcome: Outcome = "fail" if found.verdict == "fail" else "pass"
    return Judged(name, outcome, text + (": grows" if outcome == "fail" else ""), *grown)


def _grouped(lows: Sequence[Low]) -> list[Block]:
    """As many blocks as other signals have, each with its lowest."""
    size = -(-len(lows) // BLOCKS) or 1
    groups = [lows[first : first + size] for first in range(0, len(lows), size)]
    return [
        Block(
            t_s=group[len(group) // 2].t_s,
            work=group[len(group) // 2].work,
            floor=min(low.used_bytes for low in group),
        )
        for group in groups
    ]
