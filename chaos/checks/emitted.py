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
    import numpy as np

    from chaos.checks.decision_table import among

    files, queue = view.files, view.target.queue
    emitted = emitted_requests(view)
    if not emitted:
        return []
    folders = (queue.pending, queue.claimed, queue.archived)
    somewhere = np.concatenate(
        [files.hashes_of(files.quarantined), *(files.hashes(pattern) for pattern in folders)]
    )
    there = among(files.hashes_of(emitted), somewhere).tolist()
    return [proof for proof, seen in zip(emitted.values(), there, strict=True) if not seen]
