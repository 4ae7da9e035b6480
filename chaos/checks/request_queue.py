"""Request queue: everything processed, nothing stuck, nothing lost."""

from __future__ import annotations

from chaos.checks.base import Check, Params, needs
from chaos.checks.emitted import emitted_requests, lost_requests
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak C, row "Request queue: all processed, none stuck".

    A request may only be set aside when a fault put something unreadable into the queue.
    """
    files, queue = view.files, view.target.queue
    poisoned = any(w.name.startswith("queue_") for w, _, _ in view.injected_faults)
    stuck = [Evidence(_at(queue.pending, name), "still pending") for name in files.pending]
    stuck += [Evidence(_at(queue.claimed, name), "claimed, not done") for name in files.claimed]
    aside = [Evidence(_at(queue.quarantined, name), "set aside") for name in files.quarantined]
    lost = lost_requests(view)
    wrong = stuck + lost + ([] if poisoned else aside)
    summary = (
        f"{plural(len(emitted_requests(view)), 'request')} emitted, "
        f"{files.count(queue.archived)} archived, {len(stuck)} stuck, {len(lost)} lost, "
        f"{len(aside)} set aside"
    )
    drained = view.last("drained")
    evidence = []
    if drained is None:
        wrong.append(view.evidence(view.lines, "the queue was never given the time to drain"))
    elif not drained[1].detail.get("in_time", False):
        summary += f"; not drained in {drained[1].detail.get('took_s', '?')} s"
        wrong.append(view.evidence(drained[0], "not drained in time"))
    else:
        evidence = [view.evidence(drained[0], "drained in time")]
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=summary,
            measured=len(wrong),
            limit=0,
            evidence=wrong or evidence,
        )
    ]


def _at(pattern: str, name: str) -> str:
    return f"artefacts/{pattern.rpartition('/')[0]}/{name}"


CHECK = Check(
    name="request_queue",
    title="Request queue",
    origin="plan, soak C: Request queue",
    judge=judge,
    needs=needs("files", "end", "stack"),
)
