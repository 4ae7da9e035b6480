"""LLM lifecycle: a clean stop and start around every dispatch, never two servers.

Read from the supervisor's own record of processes, not from what the Watcher says it did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.gpu_memory import gpu_growth_mb
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import LLMEvent

if TYPE_CHECKING:
    from chaos.checks.decision_table import DecisionTable, Indices, Times

_CLOCK_SLACK_S = 0.05


class LLMLifecycleParams(Params, frozen=True):
    """`gpu_growth_mb`: how much more GPU memory may stay in use at its lowest, from the first
    third of the run to the last one. Not judged where no GPU was sampled.
    """

    gpu_growth_mb: Annotated[float, msgspec.Meta(gt=0)] = 100.0


@dataclass
class _Servers:
    """What the record says of server processes, walked once."""

    starts: list[LLMEvent] = field(default_factory=list)
    stops: list[LLMEvent] = field(default_factory=list)
    gone: list[LLMEvent] = field(default_factory=list)
    wrong: list[tuple[LLMEvent, str]] = field(default_factory=list)
    running: LLMEvent | None = None
    stopping: bool = False


def judge(view: RunView, params: LLMLifecycleParams) -> list[Finding]:
    """The plan, soak C, row "LLM lifecycle: clean stop/restart every cycle"."""
    events = view.files.llm_events
    path = view.target.llm.events
    if events is None:
        return [
            Finding(outcome="unverified", summary=f"the record of LLM servers, {path}, is missing")
        ]
    servers = _walked(events, whole=view.ran_to_end)
    wrong = [_evidence(view, event, text) for event, text in servers.wrong]
    table = view.files.decisions
    dispatches = int((table.completed & table.dispatched).sum())
    not_cycled = _not_cycled(table, servers)
    for before, after in pairwise(servers.starts):
        if before.pid == after.pid:
            wrong.append(_evidence(view, after, f"the new server has the old PID {after.pid}"))
    grown = gpu_growth_mb(view)
    if grown is not None and grown[0] > params.gpu_growth_mb:
        text = f"GPU memory in use at its lowest grew by {grown[0]:.0f} MB"
        wrong.append(view.evidence(grown[1], text))
    summary = (
        f"{plural(len(servers.starts), 'start')}, {plural(len(servers.stops), 'stop')}, "
        f"{plural(dispatches, 'dispatch', 'dispatches')}; "
    )
    count = len(wrong) + sum(len(indices) for indices, _ in not_cycled)
    wrong += [
        Evidence(view.files.ref(view.target.decisions.path, d.line), f"{d.request}: {reason}")
        for indices, reason in not_cycled
        for d in table.some(indices, EVIDENCE_MAX)
    ]
    summary += f"{count} irregular" if wrong else "never two servers at once"
    if grown is None:
        summary += "; no GPU memory to watch here"
    good = [_evidence(view, e, f"server {e.pid} started") for e in servers.starts[:2]]
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=summary,
            measured=count,
            limit=0,
            evidence=wrong or good,
            evidence_count=count,
        )
    ]


def _walked(events: list[LLMEvent], *, whole: bool) -> _Servers:
    """Only a record that is `whole` can say that something never came."""
    seen = _Servers()
    for event in events:
        match event.event:
            case "start":
                _start(seen, event)
            case "stop":
                seen.stops.append(event)
                seen.stopping = True
            case "gone":
                seen.gone.append(event)
                seen.running, seen.stopping = None, False
            case "crashed":
                seen.wrong.append((event, f"server {event.pid} died by itself"))
                seen.running, seen.stopping = None, False
    if whole and seen.stopping and seen.running is not None:
        seen.wrong.append((seen.stops[-1], f"server {seen.running.pid} was stopped and never gone"))
    return seen


def _start(seen: _Servers, event: LLMEvent) -> None:
    if seen.running is not None:
        again = "before the last one was gone" if seen.stopping else "while another one ran"
        seen.wrong.append((event, f"server {event.pid} started {again} ({seen.running.pid})"))
    seen.starts.append(event)
    seen.running, seen.stopping = event, False


def _not_cycled(table: DecisionTable, servers: _Servers) -> list[tuple[Indices, str]]:
    """(completed dispatches, why the server was not stopped and started again within them)."""
    import numpy as np

    dispatches = np.flatnonzero(table.completed & table.dispatched)
    since, until = table.start_s[dispatches] - _CLOCK_SLACK_S, table.end_s[dispatches]
    until = until + _CLOCK_SLACK_S
    timeless = np.isnan(since) | np.isnan(until)
    gone_s = _first_from(np.array([event.t_s for event in servers.gone]), since)
    never = ~timeless & ~(gone_s <= until)
    start_s = _first_from(np.array([event.t_s for event in servers.starts]), gone_s)
    down = ~timeless & ~never & ~(start_s <= until)
    return [
        (dispatches[timeless], "the decision has no times"),
        (dispatches[never], "the LLM server was not stopped for the dispatch"),
        (dispatches[down], "the LLM server was not started again after the dispatch"),
    ]


def _first_from(moments: Times, since: Times) -> Times:
    """The first of `moments` (in order) not before each of `since`, or infinity."""
    import numpy as np

    ordered = np.append(np.sort(moments), np.inf)
    return ordered[np.minimum(np.searchsorted(ordered, since), len(ordered) - 1)]


def _evidence(view: RunView, event: LLMEvent, text: str) -> Evidence:
    return Evidence(
        view.files.ref(view.target.llm.events, event.line), f"{event.t_s:.2f} s: {text}"
    )


CHECK = Check(
    name="llm_lifecycle",
    title="LLM lifecycle",
    origin="plan, soak C: LLM lifecycle",
    judge=judge,
    params=LLMLifecycleParams,
    needs=needs("files", "stack"),
)
