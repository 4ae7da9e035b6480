"""LLM lifecycle: a clean stop and start around every dispatch, never two servers.

Read from the supervisor's own record of processes, not from what the Watcher says it did. A server
that a fault has killed, and the one dispatch beside a fault that ends servers or the Watcher, are
not held against the product; a second server asked for while the first one loads is.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.gpu_memory import gpu_growth_mb
from chaos.checks.run_view import FaultWindow, RunView

if TYPE_CHECKING:
    from chaos.checks.decision_table import DecisionTable
    from chaos.checks.hash_sets import Indices, Times
    from chaos.checks.llm_events import LLMEvent, LLMEvents

_CLOCK_SLACK_S = 0.05
_BLOCK = 1 << 16  # decisions looked at at once: flat memory
_SHOWN = 2


class LLMLifecycleParams(Params, frozen=True):
    """`gpu_growth_mb`: how much more GPU memory may stay in use at its lowest, from the first
    third of the run to the last one. Not judged where no GPU was sampled.
    """

    gpu_growth_mb: Annotated[float, msgspec.Meta(gt=0)] = 100.0


@dataclass
class _Servers:
    """What the record says of server processes, walked once."""

    start_s: array[float] = field(default_factory=lambda: array("d"))
    gone_s: array[float] = field(default_factory=lambda: array("d"))
    stops: int = 0
    first: list[LLMEvent] = field(default_factory=list)  # the first starts
    wrong_count: int = 0
    wrong: list[tuple[LLMEvent, str]] = field(default_factory=list)  # the first of them
    killed: int = 0  # by a fault
    running: LLMEvent | None = None
    stopping: LLMEvent | None = None

    def note(self, event: LLMEvent, text: str) -> None:
        """Something irregular at `event`."""
        self.wrong_count += 1
        if len(self.wrong) < EVIDENCE_MAX:
            self.wrong.append((event, text))


def judge(view: RunView, params: LLMLifecycleParams) -> list[Finding]:
    """The plan, soak C, row "LLM lifecycle: clean stop/restart every cycle"."""
    events = view.files.llm_events
    path = view.target.llm.events
    if events is None:
        return [
            Finding(outcome="unverified", summary=f"the record of LLM servers, {path}, is missing")
        ]
    ending = [window for window in view.faults if _ends(window)]
    servers = _walked(events, ending, whole=view.ran_to_end)
    wrong = [_evidence(view, event, text) for event, text in servers.wrong]
    table = view.files.decisions
    dispatches = int((table.completed & table.dispatched).sum())
    spans = [span for window in ending if (span := _span(view, window)) is not None]
    not_cycled, beside = _not_cycled(table, servers, spans)
    count = servers.wrong_count + sum(len(indices) for indices, _ in not_cycled)
    again = _asked_again(ending)
    count += len(again)
    wrong += again
    grown = gpu_growth_mb(view)
    if grown is not None and grown[0] > params.gpu_growth_mb:
        text = f"GPU memory in use at its lowest grew by {grown[0]:.0f} MB"
        wrong.append(view.evidence(grown[1], text))
        count += 1
    summary = (
        f"{plural(len(servers.start_s), 'start')}, {plural(servers.stops, 'stop')}, "
        f"{plural(dispatches, 'dispatch', 'dispatches')}; "
    )
    wrong += [
        Evidence(view.files.ref(view.target.decisions.path, d.line), f"{d.request}: {reason}")
        for indices, reason in not_cycled
        for d in table.some(indices, EVIDENCE_MAX)
    ]
    summary += f"{count} irregular" if wrong else "never two servers at once"
    if servers.killed:
        summary += f"; {servers.killed} killed by a fault"
    if beside:
        text = plural(beside, "dispatch", "dispatches")
        summary += f"; {text} beside a fault that ends it not judged"
    if grown is None:
        summary += "; no GPU memory to watch here"
    good = [_evidence(view, e, f"server {e.pid} started") for e in servers.first]
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


def _ends(window: FaultWindow) -> bool:
    """Whether it may end the server, or the Watcher in the middle of a dispatch."""
    return bool({"llm", "watcher"} & set(window.trait("ends") or ()))


def _span(view: RunView, window: FaultWindow) -> tuple[float, float] | None:
    if window.earliest_s is None:
        return None
    return window.earliest_s, view.end_s if window.end_s is None else window.end_s


def _killed(event: LLMEvent, ending: list[FaultWindow]) -> bool:
    """Whether a fault did it: the very process that it says it killed, or, of a fault that could
    not prove what it did, any that died in its time.
    """
    for window in ending:
        start_s, end_s = window.earliest_s, window.end_s
        if "llm" not in window.trait("ends") or start_s is None or event.t_s < start_s:
            continue
        if "effect_proven" in window.states:
            if window.evidence("effect_proven").get("killed_pid") == event.pid is not None:
                return True
        elif end_s is None or event.t_s <= end_s:
            return True
    return False


def _asked_again(ending: list[FaultWindow]) -> list[Evidence]:
    """Faults that make a load slow count how often a second server was asked for meanwhile."""
    found = []
    for window in ending:
        times = window.evidence("effect_proven").get("asked_again")
        if isinstance(times, int) and times > 0:
            text = f"a second server was asked for while the first one loaded, {times} x"
            found.append(Evidence(window.ref("effect_proven"), f"{window.fault_id}: {text}"))
    return found


def _walked(events: LLMEvents, ending: list[FaultWindow], *, whole: bool) -> _Servers:
    """Only a record that is `whole` can say that something never came."""
    seen = _Servers()
    last: int | None = None  # the PID of the server before
    for event in events:
        match event.event:
            case "start":
                _start(seen, event)
                if event.pid == last and len(seen.start_s) > 1:
                    seen.note(event, f"the new server has the old PID {event.pid}")
                last = event.pid
            case "stop":
                seen.stops += 1
                seen.stopping = event
            case "gone":
                seen.gone_s.append(event.t_s)
                seen.running, seen.stopping = None, None
            case "crashed":
                if _killed(event, ending):
                    seen.killed += 1
                else:
                    seen.note(event, f"server {event.pid} died by itself")
                seen.running, seen.stopping = None, None
    if whole and seen.stopping is not None and seen.running is not None:
        seen.note(seen.stopping, f"server {seen.running.pid} was stopped and never gone")
    return seen


def _start(seen: _Servers, event: LLMEvent) -> None:
    if seen.running is not None:
        again = "before the last one was gone" if seen.stopping else "while another one ran"
        seen.note(event, f"server {event.pid} started {again} ({seen.running.pid})")
    seen.start_s.append(event.t_s)
    if len(seen.first) < _SHOWN:
        seen.first.append(event)
    seen.running, seen.stopping = event, None


def _not_cycled(
    table: DecisionTable, servers: _Servers, spans: list[tuple[float, float]]
) -> tuple[list[tuple[Indices, str]], int]:
    """(completed dispatches, why the server was not stopped and started again within them), and
    how many such are not judged because a fault that ends servers was in force in `spans`.
    """
    import numpy as np

    done = table.completed & table.dispatched
    all_gone = np.append(np.sort(np.frombuffer(servers.gone_s, np.float64)), np.inf)
    all_start = np.append(np.sort(np.frombuffer(servers.start_s, np.float64)), np.inf)
    found: list[list[Indices]] = [[], [], []]
    beside = 0
    for first in range(0, len(table), _BLOCK):
        rows = np.flatnonzero(done[first : first + _BLOCK]) + first
        since, until = table.start_s[rows] - _CLOCK_SLACK_S, table.end_s[rows] + _CLOCK_SLACK_S
        timeless = np.isnan(since) | np.isnan(until)
        gone_s = _first_from(all_gone, since)
        never = ~timeless & ~(gone_s <= until)
        down = ~timeless & ~never & ~(_first_from(all_start, gone_s) <= until)
        excused = np.zeros(len(rows), dtype=np.bool_)
        for begin_s, over_s in spans:
            excused |= (since <= over_s) & (until >= begin_s)
        beside += int(((never | down) & excused).sum())
        never, down = never & ~excused, down & ~excused
        for kept, which in zip(found, (timeless, never, down), strict=True):
            kept.append(rows[which])
    reasons = (
        "the decision has no times",
        "the LLM server was not stopped for the dispatch",
        "the LLM server was not started again after the dispatch",
    )
    none = np.empty(0, dtype=np.intp)
    judged = zip(found, reasons, strict=True)
    return [(np.concatenate([none, *kept]), text) for kept, text in judged], beside


def _first_from(moments: Times, since: Times) -> Times:
    """The first of `moments` (in order, infinity last) not before each of `since`."""
    import numpy as np

    return moments[np.minimum(np.searchsorted(moments, since), len(moments) - 1)]


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
