"""The course of a run as data for plots: curves and lanes, each of bounded size.

All data comes from the opened run. Must not know how it is drawn.
"""

import math
from dataclasses import dataclass, field

from chaos.checks.verdict import Verdict
from chaos.checks.witnessed import ATTEMPTS
from chaos.record.history import Event
from chaos.record.open_run import OpenRun
from chaos.record.signals import declared_signal
from chaos.report.marks import Mark, lying_decisions, marks_of
from chaos.report.series import Curve, Numbers, Span, curve, numbers_of, stretches

_MARKS_MAX = 200
_NOTABLE_MAX = 40


@dataclass(frozen=True)
class Signal:
    """A sampled value: its name in the legend, its signals, and the factor to its unit."""

    name: str
    keys: tuple[str, ...]  # their sum; an absent signal counts as 0, unless all are absent
    factor: float = 1.0


@dataclass(frozen=True)
class PanelKind:
    """One plot. `source` is the source of its signals, which the record names if it is absent."""

    key: str
    title: str
    unit: str
    signals: tuple[Signal, ...]
    source: str
    steps: bool = False
    dots: bool = False  # single values: no line between them


_MB = 1e-6
PANELS = (
    PanelKind(
        "memory",
        "Memory of the Watcher",
        "MB",
        (Signal("anonymous + swap", ("watcher.rss_anon_bytes", "watcher.swap_bytes"), _MB),),
        "watcher",
    ),
    PanelKind(
        "descriptors",
        "Open descriptors and threads",
        "count",
        (
            Signal("descriptors", ("watcher.fds",)),
            Signal("threads", ("watcher.threads",)),
            Signal("children", ("watcher.children",)),
        ),
        "watcher",
        steps=True,
    ),
    PanelKind(
        "queue",
        "Request queue",
        "requests",
        (Signal("pending", ("queue.pending",)), Signal("claimed", ("queue.claimed",))),
        "queue",
        steps=True,
    ),
    PanelKind(
        "work",
        "Work done",
        "count",
        (
            Signal("requests archived", ("queue.archived",)),
            Signal("decisions", ("decisions.lines",)),
            Signal("of these fallbacks", ("decisions.fallbacks",)),
        ),
        "queue",
        steps=True,
    ),
    PanelKind(
        "disk",
        "Disk used in the workspace",
        "MB",
        (
            Signal("all files", ("disk.workspace_used_bytes",), _MB),
            Signal("logs", ("log.bytes",), _MB),
        ),
        "disk",
    ),
    PanelKind(
        "slots",
        "Slots of the LLM server",
        "requests",
        (
            Signal("processing", ("llm.requests_processing",)),
            Signal("deferred", ("llm.requests_deferred",)),
        ),
        "llm.metrics",
        steps=True,
    ),
    PanelKind(
        "gpu",
        "GPU memory",
        "MB",
        (
            Signal("GPU 0", ("gpu0.used_bytes",), _MB),
            Signal("LLM on GPU 0", ("gpu0.llm_bytes",), _MB),
            Signal("GPU 1", ("gpu1.used_bytes",), _MB),
        ),
        "gpu",
    ),
)
LATENCY = PanelKind(
    "latency",
    "LLM calls, by the decision log",
    "s",
    (Signal("answered", ()), Signal("not answered", ())),
    "",
    dots=True,
)


# Lanes of the timeline: name -> query of time spans.
_TIMES = "coalesce(start_s, end_s) as start_s, end_s"
_HOLDS = """
select t_s as start_s, coalesce(next_s, t_s) as end_s from (
    select *, lead(t_s) over (order by line) as next_s from moments
) where {}
"""
_ON_WIRE = f"""
select t_s as start_s, coalesce(end_s, t_s) as end_s from (with {ATTEMPTS} select * from attempts)
where coalesce(answered, false) = {{}}
"""
_LANES = {
    "waiting": _HOLDS.format('coalesce("queue.pending", 0) + coalesce("queue.claimed", 0) > 0'),
    "LLM not ready": _HOLDS.format("\"llm.health\" <> 'ok'"),
    "by LLM": f"select {_TIMES} from decisions where completed and not fallback",
    "by heuristic": f"select {_TIMES} from decisions where completed and fallback",
    "failed": f"select {_TIMES} from decisions where not completed",
    "answered": "select start_s, end_s from calls where ok",
    "unanswered": "select start_s, end_s from calls where not ok",
    "came": _ON_WIRE.format("true"),
    "came to nothing": _ON_WIRE.format("false"),
    "child at work": """
        select c.start_s, coalesce(c.end_s, run.end_s) as end_s from run, processes c
        where c.service like 'watcher%' and exists (
            select 1 from processes p where p.pid = c.parent and p.service = c.service)
    """,
}
_LATENCY = "select start_s as t_s, end_s - start_s as value from calls where ok = {}"
_MARKS = {
    "submitted": "select t_s from ops where op = 'submit' order by line",
    "warning": "select t_s from events where severity = 'warning' order by line",
    "error": "select t_s from events where severity = 'error' order by line",
}
_DECIDED = "select end_s from decisions where end_s is not null order by end_s"


@dataclass
class Course:
    """All data of the plots. Times in run seconds."""

    end_s: float
    windows: list[tuple[str, float, float]]  # fault, start, end
    curves: dict[str, list[Curve]]  # panel -> a curve per signal
    numbers: dict[str, list[Numbers | None]]  # the same in numbers
    phases: list[tuple[str, float, float]]  # name, start, end
    lanes: dict[str, list[Span]]  # name -> (start, length) of each span
    lies: list[tuple[str, float, float]]  # reference, start, end of a decision that is disproven
    evidence: list[Mark]  # failing evidence that has a time, in order of time
    marks: dict[str, list[float]] = field(default_factory=dict)
    notable: list[tuple[int, Event]] = field(default_factory=list)  # warnings and errors
    absent: dict[str, str] = field(default_factory=dict)  # source -> the reason


def course_of(run: OpenRun, verdict: Verdict) -> Course:
    """The course of a judged run."""
    end_s = max(verdict.lasted_s if math.isfinite(verdict.lasted_s) else run.end_s, 1e-3)

    def within(t_s: float | None) -> float:
        """A time of a stored verdict, which may be any number."""
        return min(max(t_s, 0.0), end_s) if t_s is not None and math.isfinite(t_s) else end_s

    decided = [t_s for (t_s,) in run.sql(_DECIDED)]
    marks = {name: [t_s for (t_s,) in run.sql(q)[:_MARKS_MAX]] for name, q in _MARKS.items()}
    if len(decided) <= _MARKS_MAX:  # more would overlap
        marks["decided"] = decided
    absent: dict[str, str] = {}
    for _, event in run.named("source_absent"):
        reason = str(event.detail.get("reason", "absent"))
        absent.setdefault(str(event.detail.get("source", "")), reason)
    queries = {kind.key: [_points(run, signal) for signal in kind.signals] for kind in PANELS} | {
        LATENCY.key: [_LATENCY.format(ok) for ok in ("true", "false")]
    }
    return Course(
        end_s=end_s,
        windows=[
            (
                f"{fault.fault_id} {fault.name}",
                within(fault.injected_s),
                within(fault.recovered_s),
            )
            for fault in verdict.faults
            if fault.injected_s is not None
        ],
        curves={key: [curve(run, q, end_s) for q in asked] for key, asked in queries.items()},
        numbers={key: [numbers_of(run, q) for q in asked] for key, asked in queries.items()},
        phases=run.sql("select name, begin_s, end_s from phases order by line"),
        lanes={name: stretches(run, query, end_s) for name, query in _LANES.items()},
        lies=lying_decisions(run, verdict),
        evidence=marks_of(run, verdict),
        marks=marks,
        notable=[pair for pair in run.events if pair[1].severity != "info"][:_NOTABLE_MAX],
        absent=absent,
    )


def _points(run: OpenRun, signal: Signal) -> str:
    """The query of the sum of a signal's keys per sample; null if all of them are absent."""
    names = [declared_signal(key).name for key in signal.keys]
    known = [f'"{name}"::double' for name in names if run.has_column(name)]
    if not known:
        return "select null::double as t_s, null::double as value"
    total = " + ".join(f"coalesce({column}, 0)" for column in known)
    present = f"coalesce({', '.join(known)})"
    value = f"if({present} is null, null, ({total}) * {signal.factor})"
    return f"select t_s, {value} as value from moments"
