"""What happened in a run, in at most three sentences: the verdict, its cause, the worst finding."""

from dataclasses import dataclass

from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.report.marks import FAILING
from chaos.report.words import MEANING, ORDER
from chaos.triage.result import TITLES, Cause, Triage

# What tells most of a run in which nothing is wrong.
_TELLING = ("completed_cycles", "requests_archived", "work_completed", "fault_effect")


@dataclass(frozen=True)
class Said:
    """One sentence; `finding` is the number of the finding that it is about, 0 for none."""

    text: str
    finding: int = 0


def worst_first(verdict: Verdict, triage: Triage | None) -> list[tuple[int, Finding]]:
    """(number, finding), the worst first; among failures those that the first cause explains."""
    causes = _causes(triage)
    explained = list(causes[0].explains) if causes else []

    def rank(pair: tuple[int, Finding]) -> tuple[int, int]:
        finding = pair[1]
        place = explained.index(finding.check) if finding.check in explained else len(explained)
        return ORDER.index(finding.outcome), place if finding.outcome in FAILING else 0

    return sorted(enumerate(verdict.findings, start=1), key=rank)


def happened(verdict: Verdict, triage: Triage | None) -> list[Said]:
    """The sentences of a judged run."""
    said = [Said(f"{MEANING[verdict.verdict]} ({verdict.reason})")]
    ranked = worst_first(verdict, triage)
    if verdict.verdict == "pass":
        telling = [p for name in _TELLING for p in ranked if p[1].check == name]
        said += [Said(finding.summary, number) for number, finding in telling]
        return said[:3]
    causes = _causes(triage)
    if causes:
        more = f" (and {len(causes) - 1} more below)" if len(causes) > 1 else ""
        said.append(Said(f"{TITLES[causes[0].name]}: {causes[0].summary}{more}"))
    number, worst = ranked[0]
    first = worst.evidence[0].text if worst.evidence else ""
    text = first if first and first not in said[-1].text else worst.summary
    said.append(Said(f"{worst.title or worst.check}: {text}", number))
    return said


def _causes(triage: Triage | None) -> list[Cause]:
    return [] if triage is None else [c for c in triage.causes if c.name != "unknown"]
