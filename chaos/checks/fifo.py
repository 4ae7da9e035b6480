"""FIFO: requests are taken in the order in which they arrived.

Arrivals are told by whoever can know: the harness's own submissions (their order is certain), and
the diagnostics whose triggers emitted a request (by their time stamp).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chaos.checks.hash_sets import Hashes, Indices, Times

    Witnesses = npt.NDArray[np.int8]

_HARNESS, _DIAGNOSTICS = 0, 1
_BLOCK = 1 << 16


class FIFOParams(Params, frozen=True):
    """`tie_s`: arrivals told by different witnesses count as simultaneous within this time."""

    tie_s: Annotated[float, msgspec.Meta(ge=0)] = 1.5


def judge(view: RunView, params: FIFOParams) -> list[Finding]:
    """The plan, section 5: requests are worked off "sequentially"; the queue is a line."""
    served, arrived_s, witness = _served(view)
    if len(served) < 2:
        return [Finding(outcome="inconclusive", summary="too few requests of known arrival")]
    overtaken, pairs = _overtaken(arrived_s, witness, params.tie_s)
    wrong = [_evidence(view, int(served[late]), int(served[early])) for late, early in pairs]
    log = Evidence(view.files.ref(view.target.decisions.path), "start by start")
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=f"{overtaken} of {plural(len(served), 'request')} overtaken by later ones",
            measured=overtaken,
            limit=0,
            evidence=wrong or [log],
            evidence_count=overtaken,
        )
    ]


def _arrivals(view: RunView) -> tuple[Hashes, Times, Witnesses]:
    """(hash of the request's name, when it arrived, who says so), each request once, ordered by
    hash; certain ones only. The harness is believed before the diagnostics.
    """
    import numpy as np

    ops = [(line, op) for line, op in view.ops if op.op == "submit" and op.outcome == "ok"]
    # Two submissions may share a microsecond, and never a line. The last of one name counts.
    ours_s = np.array([op.t_s + line * 1e-9 for line, op in reversed(ops)], dtype=np.float64)
    ours = view.files.hashes_of(op.id for _, op in reversed(ops))
    diagnosed = view.files.diagnosed
    hashes = np.concatenate([ours, diagnosed.request])
    arrived_s = np.concatenate([ours_s, diagnosed.t_s])
    witness = np.full(len(hashes), _DIAGNOSTICS, dtype=np.int8)
    witness[: len(ours)] = _HARNESS
    if (timeless := np.isnan(arrived_s)).any():
        hashes, arrived_s, witness = (one[~timeless] for one in (hashes, arrived_s, witness))
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    first = np.ones(len(hashes), dtype=np.bool_)
    first[1:] = hashes[1:] != hashes[:-1]
    if first.all():
        return hashes, arrived_s[order], witness[order]
    return hashes[first], arrived_s[order[first]], witness[order[first]]


def _served(view: RunView) -> tuple[Indices, Times, Witnesses]:
    """(dispatch, when its request arrived, who says so), in the order in which they began."""
    import numpy as np

    table = view.files.decisions
    known, arrived_s, witness = _arrivals(view)
    if not len(known):
        return np.empty(0, np.intp), arrived_s, witness
    when_s = np.full(len(table), np.nan)
    teller = np.full(len(table), _HARNESS, dtype=np.int8)
    for begin in range(0, len(table), _BLOCK):  # flat memory
        rows = slice(begin, begin + _BLOCK)
        place = np.minimum(np.searchsorted(known, table.request[rows]), len(known) - 1)
        met = (known[place] == table.request[rows]) & table.dispatched[rows]
        when_s[rows] = np.where(met, arrived_s[place], np.nan)
        teller[rows] = witness[place]
    served = np.flatnonzero(when_s == when_s)
    served = served[np.argsort(table.start_s[served], kind="stable")]
    return served, when_s[served], teller[served]


def _overtaken(
    arrived_s: Times, witness: Witnesses, tie_s: float
) -> tuple[int, list[tuple[int, int]]]:
    """(how many were overtaken, of the first of them: its place in the order of service, and that
    of the first one taken before it of those that had arrived latest).
    """
    import numpy as np

    by = np.full(len(arrived_s), -1, dtype=np.int8)
    for teller in (_DIAGNOSTICS, _HARNESS):
        latest_s = np.where(witness == teller, arrived_s, -np.inf)
        np.maximum.accumulate(latest_s, out=latest_s)
        allowed_s = arrived_s + np.where(witness == teller, 0.0, tie_s)
        by[1:][latest_s[:-1] > allowed_s[1:]] = teller
    overtaken = np.flatnonzero(by >= 0)
    pairs = []
    for late in overtaken[:EVIDENCE_MAX].tolist():
        told_s = np.where(witness[:late] == by[late], arrived_s[:late], -np.inf)
        pairs.append((late, int(np.argmax(told_s))))
    return len(overtaken), pairs


def _evidence(view: RunView, late: int, early: int) -> Evidence:
    table = view.files.decisions
    decision, before = table[late], table[early]
    return Evidence(
        view.files.ref(view.target.decisions.path, decision.line),
        f"{decision.request} arrived before {before.request} (line {before.line}) "
        "and was taken after it",
    )


CHECK = Check(
    name="fifo",
    title="First in, first out",
    judge=judge,
    params=FIFOParams,
    needs=needs("files", "stack"),
)
