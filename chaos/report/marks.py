"""The evidence of failing findings by number and moment, and the decisions that it disproves.

Numbers follow the time, so that evidence which lies close together has neighbouring numbers.
Evidence without a moment has none. Must not know how it is drawn.
"""

from dataclasses import dataclass

from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.record.open_run import OpenRun
from chaos.report.moments import moment_of

FAILING = ("fail", "invalid")


@dataclass(frozen=True)
class Mark:
    """One piece of failing evidence at its moment. `anchor`: the id of its place in the page."""

    number: int
    t_s: float
    anchor: str
    title: str
    text: str


def anchor_of(finding: int, piece: int) -> str:
    """The id of a piece of evidence: of the finding with this number, from 1."""
    return f"evidence-{finding}-{piece}"


def marks_of(run: OpenRun, verdict: Verdict) -> list[Mark]:
    """The marks of a judged run, in order of time."""
    known: dict[str, float | None] = {}
    found = []
    for number, finding in enumerate(verdict.findings, start=1):
        if finding.outcome not in FAILING:
            continue
        for piece, evidence in enumerate(finding.evidence, start=1):
            if evidence.ref not in known:
                known[evidence.ref] = moment_of(run, evidence.ref)
            at_s = known[evidence.ref]
            if at_s is not None:
                title = finding.title or finding.check
                found.append((at_s, number, piece, title, evidence.text))
    return [
        Mark(place, at_s, anchor_of(number, piece), title, text)
        for place, (at_s, number, piece, title, text) in enumerate(sorted(found), start=1)
    ]


_CLAIMED = """
select coalesce(start_s, end_s), end_s, fallback from decisions
where decision_ref(line) = $ref and end_s is not null
"""
# Its evidence has fallbacks that say so, too; those claim nothing.
_UNMARKED = "heuristic_fallbacks"


def lying_decisions(run: OpenRun, verdict: Verdict) -> list[tuple[str, float, float]]:
    """(reference, start, end) of each decision whose claim failing evidence disproves.

    Only the evidence that the verdict keeps is known; `lies_unknown` counts the rest.
    """
    lies = {}
    for finding in verdict.findings:
        if _disproves(finding) or (finding.outcome == "fail" and finding.check == _UNMARKED):
            for evidence in finding.evidence:
                for start_s, end_s, fallback in run.sql(_CLAIMED, {"ref": evidence.ref}):
                    if finding.check != _UNMARKED or not fallback:
                        lies[evidence.ref] = (evidence.ref, start_s, end_s)
    return sorted(lies.values(), key=lambda lie: lie[1])


def lies_unknown(verdict: Verdict) -> int:
    """How many pieces of evidence against decisions the verdict counts and does not keep."""
    return sum(f.evidence_count - len(f.evidence) for f in verdict.findings if _disproves(f))


def _disproves(finding: Finding) -> bool:
    """Whether a witness contradicts what decisions claim."""
    return finding.outcome == "fail" and finding.check.endswith("_witnessed")
