"""LLM lifecycle: a clean stop and start around every dispatch, never two servers.

Read from the supervisor's own record of processes, not from what the Watcher says it did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import Decision, LLMEvent

_CLOCK_SLACK_S = 0.05
_GPU_MEMORY = re.compile(r"gpu\d+\.used_bytes")


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
    dispatches = [d for d in view.files.decisions if d.completed and d.dispatch]
    wrong += [
        Evidence(view.files.ref(view.target.decisions.path, d.line), f"{d.request}: {reason}")
        for d in dispatches
        if (reason := _not_cycled(d, servers)) is not None
    ]
    for before, after in pairwise(servers.starts):
        if before.pid == after.pid:
            wrong.append(_evidence(view, after, f"the new server has the old PID {after.pid}"))
    growth_mb = _gpu_growth_mb(view)
    if growth_mb is not None and growth_mb > params.gpu_growth_mb:
        text = f"GPU memory in use at its lowest grew by {growth_mb:.0f} MB"
        wrong.append(Evidence("history.jsonl", text))
    summary = (
        f"{plural(len(servers.starts), 'start')}, {plural(len(servers.stops), 'stop')}, "
        f"{plural(len(dispatches), 'dispatch', 'dispatches')}; "
    )
    summary += f"{len(wrong)} irregular" if wrong else "never two servers at once"
    if growth_mb is None:
        summary += "; no GPU memory to watch here"
    good = [_evidence(view, e, f"server {e.pid} started") for e in servers.starts[:2]]
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=summary,
            measured=len(wrong),
            limit=0,
            evidence=wrong or good,
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


def _not_cycled(decision: Decision, servers: _Servers) -> str | None:
    """Why the server was not stopped and started again within this decision, or None."""
    if decision.start_s is None or decision.end_s is None:
        return "the decision has no times"
    since, until = decision.start_s - _CLOCK_SLACK_S, decision.end_s + _CLOCK_SLACK_S
    gone = [event.t_s for event in servers.gone if since <= event.t_s <= until]
    if not gone:
        return "the LLM server was not stopped for the dispatch"
    if not any(gone[0] <= event.t_s <= until for event in servers.starts):
        return "the LLM server was not started again after the dispatch"
    return None


def _gpu_growth_mb(view: RunView) -> float | None:
    """How much the lowest use of GPU memory rose from the first third to the last (MB, the worst
    GPU), or None without a GPU. At its lowest the server is stopped: what stays is left over.
    """
    start_s, end_s = view.measured_span_s()
    third_s = (end_s - start_s) / 3
    early: dict[str, float] = {}
    late: dict[str, float] = {}
    for _, sample in view.samples():
        if start_s + third_s < sample.t_s < end_s - third_s:
            continue
        lowest = early if sample.t_s <= start_s + third_s else late
        for key, value in sample.values.items():
            if _GPU_MEMORY.fullmatch(key) and isinstance(value, (int, float)):
                lowest[key] = min(lowest.get(key, value), value)
    return max(((late[key] - early[key]) / 1e6 for key in early if key in late), default=None)


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
