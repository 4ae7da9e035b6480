"""One signal of a process of the daemon over a run, made ready for trend.py.

A process that was restarted begins small again, so each life is judged by itself, without its
first third (imports, first allocations) and without the fault windows. One that grows is a
failure; else the longest life that shows enough speaks for the run.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from chaos.checks.finding import Outcome
from chaos.checks.growth.trend import BLOCK_FILL_MIN, BLOCK_POINTS_MIN, BLOCKS, Block
from chaos.record.open_run import OpenRun
from chaos.record.signals import declared_signal

WARM_UP_PART = 1 / 3
# A block of a shorter life would hold less than one reading of what is read once a second.
_LIFE_S_MIN = 36.0

# Lives are stretches of samples with the same process id, in the measured time. Where no process id
# was ever sampled, all samples are one life; samples without one are between two lives.
_LIVES = """
with measured as (
    select line, t_s, "{program}.pid" as pid, {columns}
    from moments, run where t_s between from_s and to_s
), alive as (
    select *, coalesce(pid <> lag(pid) over (order by line), true) as begins
    from measured where pid is not null or not exists (select 1 from measured where pid > 0)
), numbered as (
    select *, sum((begins and pid is not null)::int) over (order by line) as life from alive
)
select min(line), max(line), {aggregates} from numbered group by life order by 1
"""
# The signals that checks watch for growth: they are asked for together, because a query costs more
# than an aggregate. A key of several signals is their sum.
WATCHED = (
    "watcher.rss_anon_bytes+watcher.swap_bytes",
    "watcher.fds",
    "watcher.threads",
    "watcher.children",
    "watcher.zombies",
    "watcher.sockets_close_wait",
    "watcher.sockets_established",
    "watcher.sockets_other",
    "workspace.temp_files",
)
_COUNTED = ("fds", "threads", "children")  # of a service
_SUMMARY = (
    "count({0})",
    "min(t_s) filter ({0} is not null)",
    "max(t_s) filter ({0} is not null)",
    "arg_min({0}, line)",
    "arg_max({0}, line)",
    "max({0})",
)
# The samples of one life.
_SAMPLES = """
select line, t_s, in_fault, coalesce("decisions.completed", "queue.archived", 0) as work, {columns}
from moments where line between {begin} and {end}
"""
_RISE = ("min({0}) filter (t_s <= $start_s + $edge_s)", "min({0}) filter (t_s >= $end_s - $edge_s)")
_BLOCK = (
    "count({0})",
    "avg(t_s) filter ({0} is not null)",
    "median(work) filter ({0} is not null)",
    "quantile_cont({0}, 0.1)",
)

_BLOCKS = f"""
select least(floor((t_s - $start_s) / $length_s), {BLOCKS - 1}) as block, {{aggregates}}
from ({{samples}}) where t_s >= $start_s and t_s < $end_s and not in_fault
group by block order by block
"""


@dataclass(frozen=True)
class Life:
    """One signal in one life of the process. `first`, `last` and `peak` are values of it, `rise` is
    how much more there is at last than at first, floor against floor of the judged span; `blocks`
    are `BLOCKS` equal parts of that span without those with too few samples. `restarts` counts
    those of the process in the whole run.
    """

    count: int
    first_s: float
    last_s: float
    first: float
    last: float
    peak: float
    rise: float = 0.0
    blocks: tuple[Block, ...] = ()
    restarts: int = 0

    @property
    def span_s(self) -> tuple[float, float]:
        """What is judged: without the warm-up."""
        return self.first_s + self.length_s * WARM_UP_PART, self.last_s

    @property
    def length_s(self) -> float:
        """Of the whole life, as far as it was sampled."""
        return self.last_s - self.first_s


def lives_of(run: OpenRun, key: str) -> list[Life]:
    """The signal `key`, or the sum `a+b` of signals (the first must be there), life by life; [] if
    it was never sampled.
    """
    service = key.partition(".")[0]
    program = service if service in run.target.services else "watcher"
    together = WATCHED if program == "watcher" else watched_of(program)
    keys = together if key in together else (key,)
    return run.once(f"lives of {keys}", lambda run: _lives(run, program, keys))[key]


def watched_of(service: str) -> tuple[str, ...]:
    """The signals of a service of the target that are watched for growth: as `WATCHED`."""
    memory, *counts = (f"{service}.{part}" for part in ("rss_anon_bytes", *_COUNTED))
    return (f"{memory}+{service}.swap_bytes", *counts)


def _lives(run: OpenRun, program: str, keys: Sequence[str]) -> dict[str, list[Life]]:
    columns = ", ".join(f'{_value(key)} as "{key}"' for key in keys)
    asked = {"program": program, "columns": columns, "aggregates": _asked(_SUMMARY, keys)}
    rows = run.sql(_LIVES.format(**asked))
    spans = [_SAMPLES.format(columns=columns, begin=row[0], end=row[1]) for row in rows]
    lives = [{key: Life(*n) for key, n in _by_key(row[2:], keys).items() if n[0]} for row in rows]
    found = {key: [life[key] for life in lives if key in life] for key in keys}
    longest = {key: _longest(some) for key, some in found.items() if some}
    for samples, life in zip(spans, lives, strict=True):
        # Nobody judges the others, of which a daemon that crashes all the time has many.
        judged = [
            key for key, one in life.items() if one is longest[key] or one.length_s >= _LIFE_S_MIN
        ]
        for span_s in dict.fromkeys(life[key].span_s for key in judged):
            same = [key for key in judged if life[key].span_s == span_s]
            for key, (rise, blocks) in _judged_span(run, samples, same, span_s).items():
                life[key] = replace(life[key], rise=rise, blocks=blocks)
    return {
        key: [replace(life[key], restarts=len(found[key]) - 1) for life in lives if key in life]
        for key in keys
    }


def _longest(lives: Sequence[Life]) -> Life:
    """The first of the longest."""
    return max(lives, key=lambda life: life.length_s)


def _value(key: str) -> str:
    """SQL for the value of a key: null where its first signal was not there."""
    first, *others = (f'"{declared_signal(name).name}"::double' for name in key.split("+"))
    return " + ".join([first, *(f"coalesce({other}, 0)" for other in others)])


def _asked(aggregates: Sequence[str], keys: Sequence[str]) -> str:
    """The aggregates of each key as columns."""
    return ", ".join(form.format(f'"{key}"') for key in keys for form in aggregates)


def _by_key(row: Sequence[Any], keys: Sequence[str]) -> dict[str, Sequence[Any]]:
    """The columns of `_asked`, key by key."""
    size = len(row) // len(keys)
    return {key: row[place * size : (place + 1) * size] for place, key in enumerate(keys)}


def _judged_span(
    run: OpenRun, samples: str, keys: Sequence[str], span_s: tuple[float, float]
) -> dict[str, tuple[float, tuple[Block, ...]]]:
    """Rise and blocks of each key within the judged span."""
    start_s, end_s = span_s
    length_s = (end_s - start_s) / BLOCKS
    span = {"start_s": start_s, "end_s": end_s, "edge_s": (end_s - start_s) / 6}
    (row,) = run.sql(f"select {_asked(_RISE, keys)} from ({samples}) where t_s >= $start_s", span)
    rises = _by_key(row, keys)
    blocks: dict[str, list[Block]] = {key: [] for key in keys}
    needed = max(BLOCK_POINTS_MIN, math.ceil(BLOCK_FILL_MIN * length_s / run.sample_period_s))
    query = _BLOCKS.format(aggregates=_asked(_BLOCK, keys), samples=samples)
    for _, *block in run.sql(query, {**span, "length_s": length_s}) if length_s > 0 else ():
        for key, (count, *numbers) in _by_key(block, keys).items():
            if count >= needed:
                blocks[key].append(Block(*numbers))
    return {key: (_rise(*rises[key]), tuple(blocks[key])) for key in keys}


def _rise(early: float | None, late: float | None) -> float:
    return 0.0 if early is None or late is None else late - early


class Judged(Protocol):
    """What a check makes of one life. `enough`: there was enough to judge by."""

    @property
    def outcome(self) -> Outcome:
        """For this life."""

    @property
    def enough(self) -> bool:
        """Whether there was enough to judge by."""


J = TypeVar("J", bound=Judged)


def speaking(lives: Sequence[Life], judge: Callable[[Life], J]) -> tuple[Life, J, str]:
    """The life that speaks for the run, what `judge` makes of it, and what to say of the others.

    The first one that fails; else the longest that shows enough; else the longest. The text begins
    with "; " and is empty for a process that never restarted.
    """
    longest = _longest(lives)
    asked = [life for life in lives if life is longest or life.length_s >= _LIFE_S_MIN]
    judged = [(life, judge(life)) for life in asked]
    enough = [one for one in judged if one[1].enough]
    failed = [one for one in enough if one[1].outcome == "fail"]
    chosen, made = (failed or sorted(enough or judged, key=lambda one: -one[0].length_s))[0]
    if len(lives) == 1:
        return chosen, made, ""
    number = 1 + next(n for n, life in enumerate(lives) if life is chosen)
    others = [one.outcome for life, one in enough if life is not chosen]
    about = (
        f"; it restarted {len(lives) - 1}x: of {len(lives)} lives {len(enough)} long "
        f"enough to judge by, this is number {number} ({chosen.length_s:.0f} s)"
    )
    return chosen, made, about + (f", the others: {', '.join(others)}" if others else "")
