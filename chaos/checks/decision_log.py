"""Decision log: every line whole, every entry there, every identity used once."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.exactly_once import repeated_identity
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView


class DecisionLogParams(Params, frozen=True):
    """`count`: entries asked for (0: any number), of `source` alone where one is named."""

    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    source: str = ""


def judge(view: RunView, params: DecisionLogParams) -> list[Finding]:
    """The plan, soak B, row "Decision log: 10 entries with unique sequence numbers"."""
    files = view.files
    path = view.target.decisions.path
    wrong = list(files.decisions_damaged)
    if files.decisions_torn and view.ran_to_end:
        wrong.append(Evidence(files.ref(path), "the log ends in half a line"))
    repeated, repetitions = repeated_identity(view)
    shrunk = _shrunk(view)
    entries = files.decisions.count(dispatched=True, source=params.source or None)
    of = f" of {params.source}" if params.source else ""
    counted = Evidence(files.ref(path), f"{plural(entries, 'dispatch', 'dispatches')}{of}")
    missing = params.count - entries
    surplus = entries - params.count if params.source and params.count else 0
    if missing > 0 or surplus > 0:
        wrong.append(counted)
    count = len(wrong) + repetitions + len(shrunk)
    summary = f"{plural(entries, 'entry', 'entries')}{of}"
    if params.count:
        summary += f", {params.count} asked"
    summary += f"; {count} missing, torn or repeated" if count else "; whole, and each one unique"
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=summary,
            measured=entries,
            limit=params.count or None,
            evidence=[*wrong, *shrunk, *repeated] or [counted],
            evidence_count=count,
        )
    ]


def _shrunk(view: RunView) -> list[Evidence]:
    """Append-only: the log never had fewer lines than before."""
    table = view.samples
    lines = table.column("decisions.lines")
    there = (lines == lines).nonzero()[0]
    seen = lines[there]
    fell = (seen[1:] < seen[:-1]).nonzero()[0]
    return [
        view.evidence(
            int(table.lines[there[i + 1]]),
            f"the log shrank from {seen[i]:.0f} to {seen[i + 1]:.0f} lines",
        )
        for i in fell
    ]


CHECK = Check(
    name="decision_log",
    title="Decision log",
    origin="plan, soak B: Decision log",
    judge=judge,
    params=DecisionLogParams,
    needs=needs("files", "end", "stack"),
)
