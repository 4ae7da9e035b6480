"""Watcher alive: it did not end before it was told to, except where a fault ended it on purpose.

A fault that ends the Watcher says so of itself (`ends`); a death within its time is intended. That
the Watcher then stops in time and cleanly when asked to, and comes back when it is started again,
is a matter of this check, too.
"""

from __future__ import annotations

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import FaultWindow, RunView
from chaos.record.history import Event

_SHOWN_CHARS = 200


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak A, "Process alive". A run in which it never started has nothing to say."""
    if not view.named("watcher_exit") and view.last("ready") is None:
        return []
    ending = [window for window in view.faults if ends_watcher(window)]
    by_itself = [
        view.evidence(line, f"died at {event.t_s:.1f} s: {_detail(event.detail)}")
        for line, event in exits_by_itself(view)
    ]
    unclean = [found for window in ending if (found := _unclean(window)) is not None]
    lost = not_returned(view)
    said = []
    if by_itself:
        said.append(f"the Watcher died {plural(len(by_itself), 'time')}")
    if unclean:
        said.append(f"it did not stop as asked {plural(len(unclean), 'time')}")
    if lost:
        said.append(f"it did not come back {plural(len(lost), 'time')}")
    meant = sum("injected" in window.states for window in ending)
    intended = f" ({plural(meant, 'fault')} ended it on purpose)" if meant else ""
    wrong = by_itself + unclean + lost
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=(", ".join(said) or "the Watcher never ended by itself") + intended,
            measured=len(wrong),
            limit=0,
            evidence=wrong,
        )
    ]


def ends_watcher(window: FaultWindow) -> bool:
    """Whether the fault ends the Watcher, or may do so, by its nature."""
    return "watcher" in (window.trait("ends") or ())


def exits_by_itself(view: RunView) -> list[tuple[int, Event]]:
    """(line, event) of each exit of the Watcher that no fault meant."""
    ending = [window for window in view.faults if ends_watcher(window)]
    return [
        (line, event)
        for line, event in view.named("watcher_exit")
        if not any(_within(window, event.t_s) for window in ending)
    ]


def not_returned(view: RunView) -> list[Evidence]:
    """Each fault that ended the Watcher and after which it did not come back."""
    ending = [window for window in view.faults if ends_watcher(window)]
    return [found for window in ending if (found := _lost(window)) is not None]


def _within(window: FaultWindow, t_s: float) -> bool:
    since_s = window.earliest_s
    if since_s is None:
        return False
    return since_s <= t_s <= (float("inf") if window.end_s is None else window.end_s)


def _unclean(window: FaultWindow) -> Evidence | None:
    """It was asked to stop, and did not within its limit, or with an error."""
    stop = window.evidence("effect_proven").get("stop")
    if not isinstance(stop, dict) or stop.get("clean", True):
        return None
    text = f"{window.fault_id} {window.name}, asked to stop: {_detail(stop)}"
    return Evidence(window.ref("effect_proven"), text)


def _lost(window: FaultWindow) -> Evidence | None:
    """It was started again, and was not ready or did not stay."""
    why = window.evidence("recovery_unproven").get("did_not_return")
    if not why:
        return None
    text = f"{window.fault_id} {window.name}, started again: {str(why)[:_SHOWN_CHARS]}"
    return Evidence(window.ref("recovery_unproven"), text)


def _detail(detail: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in detail.items()) or "no details"


CHECK = Check(
    name="watcher_alive",
    title="Watcher alive",
    origin="plan, soak A: Process alive",
    judge=judge,
    always=True,
)
