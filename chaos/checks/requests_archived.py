"""Requests archived: every request of the workload ended in the archive."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView


class RequestsArchivedParams(Params, frozen=True):
    """`count`: archived requests asked for, among those whose file name matches `pattern`."""

    count: Annotated[int, msgspec.Meta(ge=1)]
    pattern: str = "*"


def judge(view: RunView, params: RequestsArchivedParams) -> list[Finding]:
    """The plan, soak B, row "Requests archived: 10 / 10"."""
    queue = view.target.queue
    names = view.files.count(queue.archived, params.pattern)
    missing = params.count - names
    lost = [] if missing <= 0 else _not_there(view, params.pattern)
    folder = f"artefacts/{queue.archived.rpartition('/')[0]}"
    return [
        Finding(
            outcome="fail" if missing > 0 else "pass",
            summary=f"{plural(names, 'request')} archived, at least {params.count} asked",
            measured=names,
            limit=params.count,
            evidence=lost or [Evidence(folder, plural(names, "file"))],
        )
    ]


def _not_there(view: RunView, pattern: str) -> list[Evidence]:
    there = set(view.files.archived)
    return [
        view.evidence(line, f"{op.id} submitted, not in the archive")
        for line, op in view.ops
        if op.op == "submit" and op.outcome == "ok"
        if op.id not in there and fnmatchcase(op.id, pattern)
    ]


CHECK = Check(
    name="requests_archived",
    title="Requests archived",
    origin="plan, soak B: Requests archived",
    judge=judge,
    params=RequestsArchivedParams,
    needs=needs("files", "end", "stack"),
)
