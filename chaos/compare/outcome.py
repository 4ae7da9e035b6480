"""What a comparison has shown so far: its word, its exit code, and why. Pure."""

from dataclasses import dataclass

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import plural
from chaos.compare.evidence import Evidence, Word, evidence
from chaos.compare.state import Compare

_CODES: dict[Word, ExitCode] = {
    "PASS": ExitCode.PASS,
    "BLOCK": ExitCode.FAIL,
    "INCONCLUSIVE": ExitCode.INCONCLUSIVE,
}
MARKS: dict[Word, str] = {"PASS": "✓", "BLOCK": "✗", "INCONCLUSIVE": "?"}


@dataclass(frozen=True)
class Outcome:
    """`blocked_by`: how requests were newly lost or doubled, which blocks at once. `scores`: the
    means of base and candidate.
    """

    word: Word
    code: ExitCode
    reason: str
    evidence: Evidence
    blocked_by: list[str]
    scores: tuple[float, float]

    @property
    def decided(self) -> bool:
        """Whether no further pair is needed."""
        return bool(self.blocked_by) or self.evidence.word != "INCONCLUSIVE"


def outcome_of(compare: Compare) -> Outcome:
    """What the pairs that count show."""
    asked, pairs = compare.asked, compare.counted
    found = evidence(
        [pair.difference for pair in pairs],
        margin=asked.margin,
        alpha=asked.alpha,
        pairs_min=asked.pairs_min,
    )
    lost = [f"pair {pair.number}: {text}" for pair in pairs for text in pair.newly_lost]
    base, candidate = (
        sum(scores) / max(len(scores), 1)
        for scores in ([p.scores[0] for p in pairs], [p.scores[1] for p in pairs])
    )
    word: Word = "BLOCK" if lost else found.word
    reason = _reason(compare, found, lost)
    if word == "PASS" and base <= asked.margin:  # it could not have been BLOCK
        word = "INCONCLUSIVE"
        reason = f"the base scores {base:.2f} on average: nothing can be worse by {asked.margin:g}"
    code = _CODES[word]
    if word == "INCONCLUSIVE" and compare.state == "interrupted":
        code = ExitCode.INTERRUPTED
    elif word == "INCONCLUSIVE" and compare.state == "stopped":
        code = ExitCode.INVALID
    return Outcome(word, code, reason, found, lost, (base, candidate))


def _reason(compare: Compare, found: Evidence, lost: list[str]) -> str:
    asked = compare.asked
    if lost:
        return "the candidate lost or doubled a request, and the base did not in the same pair"
    if found.word == "PASS":
        return f"the candidate is not worse by {asked.margin:g} (error rate {asked.alpha:g})"
    if found.word == "BLOCK":
        return f"the candidate is worse by more than {asked.margin:g} (error rate {asked.alpha:g})"
    said = f"not decided after {plural(len(compare.counted), 'pair')}"
    return f"{said}: {compare.reason}" if compare.reason else said
