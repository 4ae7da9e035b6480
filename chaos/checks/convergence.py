"""Convergence: with a known seed, the predictions must come true more and more often.

The hit rate of every version of the prediction pool is recomputed against the generator; what the
Watcher says of its own hit rate is not read. A prediction of a draw that was there when the work
began is none. A pool that stays while learning goes on converges to nothing, however good its last
version was.
"""

import json
import statistics
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding
from chaos.checks.generators import INDEX_MAX, expected_draws
from chaos.checks.standstill import stood_still
from chaos.record.open_run import OpenRun

_POOLS_MIN = 4
_ALREADY_THERE = 0.9
# A pool that names more than this part of all values hits by its width, not by its knowledge.
_WIDTH_MAX = 0.1
_PREDICTED = """
select ref, t_s, state, draw_index, "next", "values" from predictions
where state <> 'omitted' and t_s is not null order by rowid
"""
# How far the generator's sequence is ahead of the places in the history.
_AHEAD = "select max(position - number) from draws"
# How many draws there were when the work began that published a pool at each of these times.
_KNOWN = """
with pools as (select unnest($times) as t_s), begun as (
    select p.t_s, coalesce(d.start_s, p.t_s) as began_s from pools p asof left join (
        select start_s from decisions where kind = 'learning' and start_s is not null) d
        on d.start_s <= p.t_s
)
select b.t_s, m.known from begun b asof left join (
    select t_s, "draws.count" as known from moments where "draws.count" is not null) m
    on m.t_s <= b.began_s
"""


class ConvergenceParams(Params, frozen=True):
    """`min_rise` of the mean hit rate, from the first third of the pools to the last third."""

    min_rise: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.2


def judge(run: OpenRun, params: ConvergenceParams) -> list[Finding]:
    """The plan, soak C, "Convergence signal (hit rate should trend up with known seed)"."""
    pools = _pools(run)
    wrong = [Evidence(pool.ref, pool.problem) for pool in pools if pool.problem]
    if wrong:
        return [
            Finding(
                outcome="fail",
                summary=f"{len(wrong)} of {len(pools)} prediction pools cannot be judged",
                evidence=wrong,
            )
        ]
    if len(pools) < _POOLS_MIN:
        return [
            Finding(
                outcome="inconclusive",
                summary=f"{len(pools)} prediction pools seen, {_POOLS_MIN} are needed",
                measured=len(pools),
                limit=_POOLS_MIN,
            )
        ]
    # Without new draws a Watcher may predict the same again.
    stopped = run.last("injector_stopped")
    stale = stood_still(run, "predictions", stopped[1].t_s if stopped else None)
    if stale is not None:
        return [
            Finding(
                outcome="fail",
                summary=f"{len(pools)} prediction pools, stale: {stale.text}",
                measured=stale.dispatches,
                limit=1,
                evidence=[stale.evidence],
            )
        ]
    rates = _hit_rates(run, pools)
    if isinstance(rates, Finding):
        return [rates]
    evidence = [
        Evidence(pool.ref, f"hit rate {rate:.2f} at {pool.t_s:.0f} s")
        for pool, rate in zip(pools, rates, strict=True)
    ]
    return [_finding(rates, evidence, params.min_rise)]


def _finding(rates: list[float], evidence: list[Evidence], min_rise: float) -> Finding:
    third = max(1, len(rates) // 3)
    first, last = statistics.fmean(rates[:third]), statistics.fmean(rates[-third:])
    already = first >= _ALREADY_THERE and last >= _ALREADY_THERE
    return Finding(
        outcome="pass" if already or last - first >= min_rise else "fail",
        summary=f"hit rate {first:.2f} -> {last:.2f} over {len(rates)} prediction pools "
        f"(rise of at least {min_rise:g} asked)",
        measured=round(last - first, 4),
        limit=min_rise,
        evidence=evidence[:third] + evidence[-third:],
    )


@dataclass(frozen=True)
class _Pool:
    """One version of the pool. `horizon`: index of a draw (None: the next one) -> its values."""

    ref: str
    t_s: float
    horizon: dict[int | None, list[Any]]
    problem: str = ""


def _pools(run: OpenRun) -> list[_Pool]:
    rows = run.sql(_PREDICTED)
    found = []
    for (ref, t_s), group in groupby(rows, key=lambda row: row[:2]):
        horizon: dict[int | None, list[Any]] = {}
        problem = ""
        for _, _, state, index, of_next, text in group:
            values = None if text is None else json.loads(text)
            if state == "invalid":
                problem = "is not valid JSON"
            elif values is None:
                problem = "has no list of values, or no prediction at all"
            elif not of_next and (index is None or index >= INDEX_MAX):
                problem = "a prediction has no usable draw_index"
            else:
                horizon.setdefault(None if of_next else index, []).extend(values)
        found.append(_Pool(ref, t_s, horizon, problem))
    return found


def _hit_rates(run: OpenRun, pools: list[_Pool]) -> list[float] | Finding:
    """Of each pool the part that comes true, or why that is not known."""
    known: dict[float, float | None] = dict(run.sql(_KNOWN, {"times": [p.t_s for p in pools]}))
    if not any(known.values()):
        text = "how many draws there were was not counted: records.draws is no plain select"
        return Finding(outcome="inconclusive", summary=text)
    ahead = run.one(_AHEAD) or 0
    next_ones = [int(known[pool.t_s] or 0) + ahead for pool in pools]
    furthest = max(
        next_one if index is None else index
        for pool, next_one in zip(pools, next_ones, strict=True)
        for index in pool.horizon
    )
    expected = expected_draws(run, furthest + 1)
    if expected.problem:
        return Finding(outcome="unverified", summary=f"not judged: {expected.problem}")
    widest = (run.target.draws.modulus or max(expected.values) + 1) * _WIDTH_MAX

    def hit(index: int | None, next_one: int, values: list[Any]) -> float:
        place = next_one if index is None else index
        narrow = len(values) <= widest
        return float(next_one <= place and narrow and expected.values[place] in values)

    return [
        statistics.fmean(hit(index, next_one, values) for index, values in pool.horizon.items())
        for pool, next_one in zip(pools, next_ones, strict=True)
    ]


CHECK = Check(
    name="convergence",
    says=(
        "predictions.draw_index",
        "predictions.values",
        *(f"draws.{key}" for key in ("generator", "seed", "modulus")),
    ),
    title="Convergence",
    origin="plan, soak C: convergence check",
    judge=judge,
    params=ConvergenceParams,
    depends=depends_on("files", "end", "stack"),
)
