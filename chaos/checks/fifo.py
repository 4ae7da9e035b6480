"""FIFO: requests are taken in the order in which they arrived.

Arrivals are told by whoever can know: the harness's own submissions (their order is certain), and
the diagnostics whose triggers emitted a request (by their time stamp).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.decision import text_hash
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.run_view import RunView


class FIFOParams(Params, frozen=True):
    """`tie_s`: arrivals told by different witnesses count as simultaneous within this time."""

    tie_s: Annotated[float, msgspec.Meta(ge=0)] = 1.5


def judge(view: RunView, params: FIFOParams) -> list[Finding]:
    """The plan, section 5: requests are worked off "sequentially"; the queue is a line."""
    arrivals = _arrivals(view)
    table = view.files.decisions
    served = table.served(arrivals)
    if len(served) < 2:
        return [Finding(outcome="inconclusive", summary="too few requests of known arrival")]
    overtaken: list[tuple[int, int]] = []
    latest: dict[str, tuple[float, int]] = {}  # by witness: the latest arrival served so far
    for index, (arrived_s, witness) in served:
        for other, (other_s, earlier) in latest.items():
            tie_s = 0.0 if other == witness else params.tie_s
            if other_s > arrived_s + tie_s:
                overtaken.append((index, earlier))
                break
        if witness not in latest or arrived_s > latest[witness][0]:
            latest[witness] = (arrived_s, index)
    wrong = [_evidence(view, *pair) for pair in overtaken[:EVIDENCE_MAX]]
    log = Evidence(view.files.ref(view.target.decisions.path), "start by start")
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=f"{len(overtaken)} of {plural(len(served), 'request')} overtaken by later ones",
            measured=len(overtaken),
            limit=0,
            evidence=wrong or [log],
            evidence_count=len(overtaken),
        )
    ]


def _arrivals(view: RunView) -> dict[int, tuple[float, str]]:
    """Hash of the request's name -> (when it arrived, who says so); certain ones only."""
    found: dict[int, tuple[float, str]] = {}
    for line, op in view.ops:
        if op.op == "submit" and op.outcome == "ok":
            # Two submissions may share a microsecond, and never a line.
            found[text_hash(op.id)] = (op.t_s + line * 1e-9, "harness")
    for _, stamp, names in view.files.diagnosed_at:
        for name in names:
            if stamp is not None:
                found.setdefault(text_hash(name), (stamp, "diagnostics"))
    return found


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
