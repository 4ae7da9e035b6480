"""What a check says: one judged criterion, with evidence and an owner. Knows no check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from chaos.record.evidence import Evidence
from chaos.record.history import Owner

__all__ = ["BEYOND_THE_PLAN", "EVIDENCE_MAX", "Evidence", "Finding", "Outcome", "plural"]

Outcome = Literal["pass", "fail", "inconclusive", "unverified", "skipped", "invalid"]
Measure = float | int | str | None

BEYOND_THE_PLAN = "beyond the plan"
EVIDENCE_MAX = 10


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion, judged.

    `check`, `title` (the words of the plan's row) and `origin` are filled in by the judge.
    `summary` is one sentence with the numbers in it. `evidence_count` says how much evidence
    there was; at most `EVIDENCE_MAX` pieces of it are kept. `usage`: the check itself is wrong (its
    SQL, a name in it), and its author has to mend it.
    """

    outcome: Outcome
    summary: str
    owner: Owner = "product"
    measured: Measure = None
    limit: Measure = None
    evidence: Sequence[Evidence] = ()
    evidence_count: int = 0
    usage: bool = False
    check: str = ""
    title: str = ""
    origin: str = BEYOND_THE_PLAN

    def stamped(self, *, check: str, title: str, origin: str) -> Finding:
        """This finding with the name of its criterion, its evidence cut to `EVIDENCE_MAX`."""
        return msgspec.structs.replace(
            self,
            check=check,
            title=title,
            origin=origin,
            evidence=list(self.evidence[:EVIDENCE_MAX]),
            evidence_count=max(self.evidence_count, len(self.evidence)),
        )


def plural(count: int, noun: str, many: str = "") -> str:
    """1, "draw" -> "1 draw"; 3, "draw" -> "3 draws"."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
