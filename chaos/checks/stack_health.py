"""Stack health: the parts that are not under judgement did their work.

When the proxy, the injector or the LLM server fails by itself, or a GPU is lost that no fault
took, the run says nothing about the Watcher: it is invalid, not failed.
"""

from __future__ import annotations

from chaos.checks.base import Check, Params
from chaos.checks.finding import Finding, plural
from chaos.checks.gpu_losses import own_losses
from chaos.checks.run_view import RunView
from chaos.record.history import Event

# Told by other checks: why the run ended, and what was left behind.
_JUDGED_ELSEWHERE = frozenset({"stopped", "cleanup", "guardrail", "watcher_exit"})


def outages(view: RunView) -> list[tuple[int, Event]]:
    """(line, event) for everything that went wrong and was not the product."""
    found = [
        (line, event)
        for line, event in view.events
        if event.owner != "product"
        and event.name not in _JUDGED_ELSEWHERE
        and (event.severity == "error" or event.name == "service_exit")
    ]
    return sorted(found + own_losses(view), key=lambda one: one[0])


def judge(view: RunView, params: Params) -> list[Finding]:
    """Nothing of the kind is reported as a pass, so that its absence can be seen."""
    found = outages(view)
    if not found:
        return [Finding(outcome="pass", owner="infrastructure", summary="no outage of our own")]
    infrastructure = any(event.owner == "infrastructure" for _, event in found)
    return [
        Finding(
            outcome="invalid",
            owner="infrastructure" if infrastructure else "harness",
            summary=f"{plural(len(found), 'outage')} that are not the Watcher's: "
            + _text(found[0][1]),
            measured=len(found),
            limit=0,
            evidence=[view.evidence(line, _text(event)) for line, event in found],
        )
    ]


def _text(event: Event) -> str:
    what = event.detail.get("message") or event.detail.get("service") or event.detail
    return f"{event.name} at {event.t_s:.1f} s ({event.owner}): {what}"


CHECK = Check(name="stack_health", title="Stack health", judge=judge, always=True)
