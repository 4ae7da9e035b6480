"""Which requests there were, from every side that names one. Shared by the queue's checks."""

from __future__ import annotations

from chaos.checks.finding import Evidence
from chaos.checks.run_view import RunView


def emitted_requests(view: RunView) -> dict[str, Evidence]:
    """Request file name -> who says that it was emitted.

    Probes that were surely submitted, and requests that diagnostics name. A probe whose outcome
    is not known counts only if it is found somewhere, which needs no entry here.
    """
    named: dict[str, Evidence] = {}
    for line, op in view.ops:
        if op.op == "submit" and op.outcome == "ok":
            named[op.id] = view.evidence(line, f"{op.id} submitted at {op.t_s:.1f} s")
    for path, requests in view.files.diagnosed:
        for name in requests:
            named.setdefault(name, Evidence(view.files.ref(path), f"{name} emitted"))
    return named


def lost_requests(view: RunView) -> list[Evidence]:
    """Requests that were emitted and are nowhere: not waiting, not finished, not set aside."""
    files = view.files
    somewhere = {*files.pending, *files.claimed, *files.archived, *files.quarantined}
    return [proof for name, proof in emitted_requests(view).items() if name not in somewhere]
