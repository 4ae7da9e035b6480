"""Convergence: with a known seed, the predictions must come true more and more often.

The hit rate of every version of the prediction pool is recomputed against the generator; what the
Watcher says of its own hit rate is not read. A prediction of a draw that was there when the work
began is none. A pool that stays while learning goes on converges to nothing, however good its last
version was.
"""

import statistics
from typing import Annotated, Any

import msgspec

from chaos.base.files import list_at
from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding
from chaos.checks.java_lcg import first_draws
from chaos.checks.standstill import stood_still
from chaos.record.open_run import OpenRun

_POOLS_MIN = 4
_ALREADY_THERE = 0.9
# A pool that names more than this part of all values hits by its width, not by its knowledge.
_WIDTH_MAX = 0.1
_INDEX_MAX = 10_000_000
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
    of = run.target.predictions
    pools = [
        (line, event.t_s, _horizon(event.detail.get("content"), of.list, of.draw_index, of.values))
        for line, event in run.named("artefact")
        if event.detail.get("path") == of.path and "omitted_bytes" not in event.detail
    ]
    wrong = [run.evidence(line, problem) for line, _, (_, problem) in pools if problem]
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
    stale = stood_still(run, of.path, stopped[1].t_s if stopped else None)
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
    known: dict[float, float | None] = dict(
        run.sql(_KNOWN, {"times": [t_s for _, t_s, _ in pools]})
    )
    rates = _hit_rates(run, [(horizon, known[t_s] or 0) for _, t_s, (horizon, _) in pools])
    evidence = [
        run.evidence(line, f"hit rate {rate:.2f} at {t_s:.0f} s")
        for (line, t_s, _), rate in zip(pools, rates, strict=True)
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


def _horizon(
    content: Any, list_key: str, index_key: str, values_key: str
) -> tuple[list[tuple[int, list[Any]]], str]:
    """([(draw index, predicted values)], "") or ([], what is wrong)."""
    try:
        entries = list_at(content, list_key)
    except (LookupError, TypeError):
        entries = []
    if not entries:
        return [], f"no list {list_key!r} with predictions"
    horizon = []
    for entry in entries:
        index = entry.get(index_key) if isinstance(entry, dict) else None
        values = entry.get(values_key) if isinstance(entry, dict) else None
        if not isinstance(index, int) or not 0 <= index < _INDEX_MAX:
            return [], f"a prediction has no usable {index_key}"
        if not isinstance(values, list):
            return [], f"a prediction has no list {values_key!r}"
        horizon.append((index, values))
    return horizon, ""


def _hit_rates(
    run: OpenRun, horizons: list[tuple[list[tuple[int, list[Any]]], float]]
) -> list[float]:
    """Of each pool, with the number of draws that were known: the part of it that comes true."""
    draws = run.target.draws
    furthest = max(index for horizon, _ in horizons for index, _ in horizon)
    truth = first_draws(draws.seed or 0, draws.modulus or 1, furthest + 1)
    widest = (draws.modulus or 1) * _WIDTH_MAX
    return [
        statistics.fmean(
            float(known <= index and len(values) <= widest and truth[index] in values)
            for index, values in horizon
        )
        for horizon, known in horizons
    ]


CHECK = Check(
    name="convergence",
    says=(
        *(f"predictions.{key}" for key in ("path", "list", "draw_index", "values")),
        *(f"draws.{key}" for key in ("generator", "seed", "modulus")),
    ),
    title="Convergence",
    origin="plan, soak C: convergence check",
    judge=judge,
    params=ConvergenceParams,
    depends=depends_on("files", "end", "stack"),
)
