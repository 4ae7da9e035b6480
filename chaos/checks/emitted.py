"""Which requests there were, from every side that names one. Shared by the queue's checks.

Requests are counted by the hash of their name; who named one is looked up when it is to be shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chaos.checks.finding import Evidence
from chaos.checks.planted import good_requests
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    from chaos.checks.hash_sets import Hashes


def emitted_requests(view: RunView) -> Hashes:
    """`text_hash` of each request that was emitted, each of them once.

    Probes that were surely submitted, requests that diagnostics name, and good ones that faults
    have planted. A probe whose outcome is not known counts only if it is found somewhere, which
    needs no entry here.
    """
    import numpy as np

    submitted = view.files.hashes_of(
        op.id for _, op in view.ops if op.op == "submit" and op.outcome == "ok"
    )
    planted = view.files.hashes_of(good_requests(view))
    named = np.concatenate([submitted, planted, view.files.diagnosed.request])
    named.sort()  # in place: `np.unique` needs another copy
    again = named[1:] == named[:-1]
    return np.delete(named, np.flatnonzero(again)) if again.any() else named


def lost_requests(view: RunView) -> list[Evidence]:
    """Requests that were emitted and are nowhere: not waiting, not finished, not set aside."""
    from chaos.checks.decision import text_hash
    from chaos.checks.hash_sets import among

    files, queue = view.files, view.target.queue
    missing = emitted_requests(view)
    missing = missing[~among(missing, files.hashes_of(files.quarantined))]
    for pattern in (queue.pending, queue.claimed, queue.archived):
        missing = missing[~among(missing, files.hashes(pattern))]
    lost = set(missing.tolist())
    told: list[Evidence] = []
    if not lost:
        return told
    for name, proof in _witnesses(view):
        named = text_hash(name)
        if named in lost:
            lost.discard(named)
            told.append(proof)
    return told


def _witnesses(view: RunView) -> Iterator[tuple[str, Evidence]]:
    """(request file name, who says that it was emitted); one request may come twice."""
    for line, op in view.ops:
        if op.op == "submit" and op.outcome == "ok":
            yield op.id, view.evidence(line, f"{op.id} submitted at {op.t_s:.1f} s")
    for path, requests in view.files.diagnosed:
        for name in requests:
            yield name, Evidence(view.files.ref(path), f"{name} emitted")
    yield from good_requests(view).items()
