"""Steady state: after the faults a piece of work takes as long as before them.

A daemon may survive every fault and stay slow for ever: a pause that never shrinks again, a pool
that lost its connections, a fallback that is kept. Measured from outside: a piece of work begins
when it was submitted, or when the one before it was finished, and ends when its file of finished
work appears. Compared are the pieces before the first fault with those after the last one, kind by
kind; of the difference of their medians the 95 % interval is stated (bootstrap, fixed seed). It
fails only where the whole interval lies above the limit, and the machine was not busier than
before.

Source: the hypothesis of the steady state (Basiri et al., Chaos Engineering, IEEE Software 2016),
measured instead of asserted.
"""

from collections.abc import Sequence
from statistics import median
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding
from chaos.checks.witnessed import not_witnessed
from chaos.record.open_run import OpenRun

_PIECES_MIN = 3
_DRAWS = 2000
_SLOWER_S_MIN = 0.5  # less is not worth a finding, whatever the ratio
# One row for each piece of work that was seen to be finished: its kind, begin and end. Of several
# that waited, each begins with the end of the one before.
_PIECES = """
with finished as (
    select regexp_extract(coalesce(to_path, path), '[^/]*$') as file, min(t_s) as end_s
    from file_ops where coalesce(to_place, place) = 'archived' and service not in ('probe')
        and call in ('rename', 'link', 'open') group by file
), asked as (
    select e.name, min(e.t_s) as t_s from emitted e where e.t_s is not null group by e.name
), pieces as (
    select a.name, t.type, f.end_s, greatest(a.t_s,
        coalesce(lag(f.end_s) over (order by f.end_s), a.t_s)) as begin_s
    from asked a join files x on x.name = a.name and x.place = 'archived'
    join finished f on f.file = regexp_extract(x.path, '[^/]*$')
    left join request_types t on t.name = a.name
)
select coalesce(type, 'any'), begin_s, end_s from pieces where end_s > begin_s order by end_s
"""


_LOAD = 'select median("host.load1") from moments where t_s between $from_s and $to_s'


class SteadyStateParams(Params, frozen=True):
    """`slower`: how many times its time before the faults a piece of work may take after them."""

    slower: Annotated[float, msgspec.Meta(gt=1)] = 2.0


def judge(run: OpenRun, params: SteadyStateParams) -> list[Finding]:
    """None where nothing was broken; skipped where too little work was seen before or after."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    if not run.injected_faults:
        return []
    before, after = _spans(run)
    rows = run.sql(_PIECES)
    texts, slow, compared = [], [], 0
    for kind in sorted({kind for kind, _, _ in rows}):
        times = [
            [end_s - begin_s for of, begin_s, end_s in rows if of == kind and from_s <= begin_s
             and end_s <= to_s]
            for from_s, to_s in (before, after)
        ]  # fmt: skip
        if min(map(len, times)) < _PIECES_MIN:
            continue
        compared += 1
        base_s = median(times[0])
        low_s, high_s = _interval(times[0], times[1])
        text = (
            f"{kind}: {base_s:.2f} s before, {median(times[1]):.2f} s afterwards, "
            f"difference {low_s:+.2f} to {high_s:+.2f} s (95 %)"
        )
        texts.append(text)
        if low_s > max(_SLOWER_S_MIN, (params.slower - 1.0) * base_s):
            slow.append(Evidence("witness.jsonl", text))
    if not compared:
        text = f"fewer than {_PIECES_MIN} pieces of work of one kind before and after the faults"
        return [Finding(outcome="skipped", summary=f"not judged: {text}")]
    if slow and (busier := _busier(run, before, after)):
        return [Finding(outcome="skipped", summary=f"not judged: {busier}; {'; '.join(texts)}")]
    return [
        Finding(
            outcome="fail" if slow else "pass",
            summary=f"{'slower' if slow else 'as fast'} after the faults "
            f"(limit {params.slower:g} times); {'; '.join(texts)}",
            measured=len(slow),
            limit=0,
            evidence=slow or [Evidence("witness.jsonl", text) for text in texts],
        )
    ]


def _spans(run: OpenRun) -> tuple[tuple[float, float], tuple[float, float]]:
    """(from, to) of what comes before the first fault, and of what follows the last one."""
    from_s, to_s = run.measured_span_s()
    begins = [w.earliest_s for w in run.injected_faults if w.earliest_s is not None]
    last_s = max(window.until_s(run.end_s) for window in run.injected_faults)
    return (from_s, min(begins, default=to_s)), (last_s, to_s)


def _busier(run: OpenRun, *spans: tuple[float, float]) -> str:
    """In words that the machine had much more to do afterwards; "" if it had not."""
    before, after = (run.one(_LOAD, {"from_s": a, "to_s": b}) for a, b in spans)
    if before is None or after is None or after <= 1.5 * before + 1.0:
        return ""
    return f"the machine was busier afterwards (load {before:.1f}, then {after:.1f})"


def _interval(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the difference of the medians, by bootstrap with a fixed seed."""
    import numpy as np  # a fifth of the time of a judgement, in which it is often not needed

    random = np.random.default_rng(0)
    medians = [
        np.median(random.choice(np.asarray(times), (_DRAWS, len(times))), axis=1)
        for times in (before, after)
    ]
    low_s, high_s = np.quantile(medians[1] - medians[0], [0.025, 0.975])
    return float(low_s), float(high_s)


CHECK = Check(
    name="steady_state",
    title="Steady state",
    judge=judge,
    params=SteadyStateParams,
    depends=depends_on("files", "end", "stack"),
    always=True,
)
