"""Growth per fault: what a fault costs is given back when it is over.

An error path that keeps a descriptor, a thread or a megabyte each time grows with the faults and
not with the requests, and the trend of a whole run, which leaves the fault windows out, hardly
shows it. Compared are floors (the least of the samples of some seconds) before and after each
fault, in the same life of the process. Something that is made at the first fault of a kind and kept
(a second connection, a pool) is no leak: a leak rises again at the next one, and stays to the end.
What grows between the faults as well is not theirs. Descriptors that rise by one or more with each
call to the LLM that failed are a leak after a single fault, too: no pool is as large as that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.resource_growth import SIGNALS
from chaos.checks.witnessed import ASKED, finding_of
from chaos.record.open_run import OpenRun

# After a fault the daemon works off what has waited, and closes what it will close.
_SETTLE_S = 3.0
_FLOOR_S = 12.0  # of a stretch between two faults: its first and its last seconds
_SAMPLES_MIN = 5
_MB = 1e6
# signal -> (its name, what it rises by at least, at a fault, to count)
_WATCHED = {
    "watcher.fds": ("descriptors", 1.0),
    **{key: (name, 1.0) for key, name in SIGNALS.items()},
    "watcher.rss_anon_bytes": ("anonymous memory", 2 * _MB),
}
_FLOORS = """
with stretches as (
    select unnest($numbers) as number, unnest($begins) as begin_s, unnest($ends) as end_s
)
select s.number, count(*), min(m."watcher.pid"), max(m."watcher.pid"), {floors}
from stretches s join moments m on m.t_s between s.begin_s and s.end_s
group by s.number
"""
_FAILED = f"""
with {ASKED}, windows as (select unnest($begins) as begin_s, unnest($ends) as end_s)
select coalesce(
    (select nullif(sum(coalesce(c.attempts, 1)), 0) from calls c where not c.ok
        and c.end_s between begin_s and w.end_s),
    (select count(*) from asked a where not a.answered and a.end_s between begin_s and w.end_s)
)::int from windows w order by begin_s
"""
_FAILED_MIN = 4  # fewer could be the size of a pool
_EARLY = f"min(m.{{0}}) filter (m.t_s <= s.begin_s + {_FLOOR_S})"
_LATE = f"min(m.{{0}}) filter (m.t_s >= s.end_s - {_FLOOR_S})"


class GrowthPerFaultParams(Params, frozen=True):
    """`tolerance`: so many more of each may be there after a single fault, or (memory: that many
    times 2 MB) after all of a kind.
    """

    tolerance: Annotated[float, msgspec.Meta(gt=0)] = 5.0


@dataclass(frozen=True)
class Window:
    """The time of one fault, or of several that overlap. `kinds`: their names, sorted."""

    kinds: tuple[str, ...]
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Step:
    """The floors of one signal just before and just after a window. `by_itself`: how much it would
    have grown meanwhile at the pace of the stretches around it, `at_last` its floor at the end of
    the one after it.
    """

    window: Window
    before: float
    after: float
    by_itself: float
    at_last: float
    failed: int = 0  # calls to the LLM in the window that got no answer

    @property
    def rise(self) -> float:
        """After less before."""
        return self.after - self.before


def judge(run: OpenRun, params: GrowthPerFaultParams) -> list[Finding]:
    """None in a run without a fault that left the daemon alive and time on both sides."""
    windows = _windows(run)
    steps = _steps(run, windows)
    if not steps:
        return []
    wrong = [
        text
        for key, signal_steps in steps.items()
        for text in _leaks(key, signal_steps, params.tolerance)
    ]
    judged = len({step.window for signal_steps in steps.values() for step in signal_steps})
    return finding_of(
        [Evidence("history.jsonl", text) for text in wrong],
        f"after {plural(judged, 'fault')} nothing was kept that grows with their number "
        f"(tolerance {params.tolerance:g})",
        "; ".join(wrong[:3]),
    )


def _windows(run: OpenRun) -> list[Window]:
    """The faults that were injected, those that overlap or follow at once as one."""
    windows: list[Window] = []
    for fault in sorted(run.faults, key=lambda fault: fault.earliest_s or 0.0):
        if fault.earliest_s is None:
            continue
        window = Window((fault.name,), fault.earliest_s, fault.until_s(run.end_s))
        last = windows[-1] if windows else None
        if last is not None and window.from_s <= last.to_s + 2 * _SETTLE_S:
            kinds = tuple(sorted({*last.kinds, *window.kinds}))
            windows[-1] = Window(kinds, last.from_s, max(last.to_s, window.to_s))
        else:
            windows.append(window)
    return windows


def _steps(run: OpenRun, windows: Sequence[Window]) -> dict[str, list[Step]]:
    """The floors around each window in which the process lived on, by signal."""
    from_s, to_s = run.measured_span_s()
    keys = [f'"{key}"' for key in _WATCHED]
    begins = [from_s, *(window.to_s + _SETTLE_S for window in windows)]
    ends = [*(window.from_s for window in windows), to_s]
    asked = {"numbers": list(range(len(begins))), "begins": begins, "ends": ends}
    floors = ", ".join(form.format(key) for key in keys for form in (_EARLY, _LATE))
    rows = {number: row for number, *row in run.sql(_FLOORS.format(floors=floors), asked)}
    failed = _failed_calls(run, windows)
    steps: dict[str, list[Step]] = {}
    for number, window in enumerate(windows):
        before, after = rows.get(number), rows.get(number + 1)
        if before is None or after is None or min(before[0], after[0]) < _SAMPLES_MIN:
            continue
        if len({*before[1:3], *after[1:3]}) != 1:  # another process, or none
            continue
        lengths = (ends[n] - begins[n] for n in (number, number + 1))
        apart_s = sum(max(0.0, length_s - _FLOOR_S) for length_s in lengths)
        took_s = window.to_s - window.from_s + _SETTLE_S + _FLOOR_S
        for place, key in enumerate(_WATCHED):
            floors_of = [*before[3 + 2 * place : 5 + 2 * place], *after[3 + 2 * place :][:2]]
            if None not in floors_of:
                begin, low, high, at_last = floors_of
                grown = max(0.0, low - begin) + max(0.0, at_last - high)
                by_itself = grown * took_s / max(apart_s, 1.0)
                step = Step(window, low, high, by_itself, at_last, failed[number])
                steps.setdefault(key, []).append(step)
    return steps


def _failed_calls(run: OpenRun, windows: Sequence[Window]) -> list[int]:
    """How many calls to the LLM got no answer in each window.

    By the log where it has some: on the wire a call that was refused looks like a look at the
    server's health. A daemon that hides attempts is found by less, not by more.
    """
    spans = {"begins": [w.from_s for w in windows], "ends": [w.to_s for w in windows]}
    return [count for (count,) in run.sql(_FAILED, spans)]


def _leaks(key: str, steps: Sequence[Step], tolerance: float) -> Iterator[str]:
    """What of this signal was kept by the faults, in words."""
    name, least = _WATCHED[key]
    for kinds in dict.fromkeys(step.window.kinds for step in steps):
        same = [step for step in steps if step.window.kinds == kinds]
        rises = [step.rise for step in same]
        kept = sum(max(0.0, step.rise) for step in same)
        by_itself = sum(step.by_itself for step in same)
        at_last = steps[-1].at_last - same[0].before
        repeated = len(rises) > 1 and min(rises) >= least and sum(rises[1:]) >= 2 * least
        much = (repeated and kept >= 3 * least) or kept > 2 * tolerance * least
        failed = sum(step.failed for step in same)
        per_call = all(step.rise >= step.failed for step in same)
        much |= key == "watcher.fds" and failed >= _FAILED_MIN and per_call
        if much and kept > 2 * by_itself and at_last >= 0.7 * kept:
            course = ", ".join(_shown(step.rise, key) for step in same)
            calls = f" ({plural(failed, 'failed call')})" if failed else ""
            yield (
                f"{plural(len(same), 'fault')} {'+'.join(kinds)}{calls}: {name} {course}, "
                f"{_shown(at_last, key)} at the end"
            )


def _shown(rise: float, key: str) -> str:
    return f"{rise / _MB:+.1f} MB" if key.endswith("_bytes") else f"{rise:+g}"


CHECK = Check(
    name="growth_per_fault",
    title="Growth per fault",
    judge=judge,
    params=GrowthPerFaultParams,
    always=True,
)
