"""What a check says: one judged criterion, with evidence and an owner. Knows no check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from chaos.record.history import Owner

Outcome = Literal["pass", "fail", "inconclusive", "unverified", "skipped", "invalid"]
Measure = float | int | str | None

BEYOND_THE_PLAN = "beyond the plan"
EVIDENCE_MAX = 10


class Evidence(msgspec.Struct, frozen=True):
    """Where to look, and what is seen there.

    `ref` is relative to the run directory: "history.jsonl:123",
    "artefacts/watcher_decisions.jsonl:7".
    """

    ref: str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion, judged.

    `check`, `title` (the words of the plan's row) and `origin` are filled in by the registry.
    `summary` is one sentence with the numbers in it. `evidence_count` says how much evidence
    there was (a check that did not even collect all of it says so itself); at most
    `EVIDENCE_MAX` pieces of it are kept.
    """

    outcome: Outcome
    summary: str
    owner: Owner = "product"
    measured: Measure = None
    limit: Measure = None
    evidence: Sequence[Evidence] = ()
    evidence_count: int = 0
    check: str = ""
    title: str = ""
    origin: str = BEYOND_THE_PLAN


def stamped(finding: Finding, *, check: str, title: str, origin: str) -> Finding:
    """`finding` with the name of its criterion, its evidence cut to `EVIDENCE_MAX` pieces."""
    return msgspec.structs.replace(
        finding,
        check=check,
        title=title,
        origin=origin,
        evidence=list(finding.evidence[:EVIDENCE_MAX]),
        evidence_count=max(finding.evidence_count, len(finding.evidence)),
    )


def plural(count: int, noun: str, many: str = "") -> str:
    """1, "draw" -> "1 draw"; 3, "draw" -> "3 draws"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
