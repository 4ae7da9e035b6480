"""Request queue: everything processed, nothing stuck, nothing lost."""

from __future__ import annotations

from chaos.checks.base import Check, Params, needs
from chaos.checks.emitted import emitted_requests, lost_requests
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.planted import left_behind, planted_files, set_aside_unplanned
from chaos.checks.run_view import RunView


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak C, row "Request queue: all processed, none stuck".

    A file may only be set aside when a fault has planted it as a bad one: that very file.
    """
    files, queue = view.files, view.target.queue
    stuck = [Evidence(_at(queue.pending, name), "still pending") for name in files.pending]
    stuck += [Evidence(_at(queue.claimed, name), "claimed, not done") for name in files.claimed]
    unplanned = set_aside_unplanned(view)
    aside = [Evidence(_at(queue.quarantined, name), "set aside") for name in unplanned]
    planted = left_behind(planted_files(view))
    lost = lost_requests(view)
    wrong = stuck + lost + aside + planted
    summary = (
        f"{plural(len(emitted_requests(view)), 'request')} emitted, "
        f"{files.count(queue.archived)} archived, {len(stuck)} stuck, {len(lost)} lost, "
        f"{len(aside)} set aside"
    )
    expected = len(files.quarantined) - len(unplanned)
    if expected:
        summary += f", beside {plural(expected, 'file')} that faults had planted"
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
