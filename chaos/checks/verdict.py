"""The verdict: the merge of all findings, and the exit code. Pure; reads nothing.

Order: pass < skipped < inconclusive/unverified < fail. A finding of the product that fails is a
failure whatever else went wrong; otherwise anything invalid makes the run invalid.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import Finding
from chaos.record.rundir import json_text

Word = Literal["pass", "fail", "inconclusive", "unverified", "invalid"]

_EXIT_OF: dict[Word, ExitCode] = {
    "pass": ExitCode.PASS,
    "fail": ExitCode.FAIL,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "unverified": ExitCode.INCONCLUSIVE,
    "invalid": ExitCode.INVALID,
}
SCHEMA = 1


class FaultOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One scheduled fault in the report; times in run seconds, None when not reached."""

    fault_id: str
    name: str
    state: str  # the last one it reached
    injected_s: float | None
    proven_s: float | None
    recovering_s: float | None
    recovered_s: float | None
    effect: dict[str, Any]  # what was measured while it held
    recovery: dict[str, Any]  # what was measured afterwards
    ref: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What `verdict.json` holds. `reason` is one sentence; `stopped` says why the run ended."""

    verdict: Word
    exit_code: int
    reason: str
    run_id: str
    soak: str
    title: str
    profile: str
    seed: int | None
    schedule_hash: str
    stopped: str
    lasted_s: float
    findings: list[Finding]
    faults: list[FaultOutcome]
    notes: list[str]
    reproduce: str
    record_lines: int = 0  # records of the history that it was made from
    record_whole: bool = True
    schema: int = SCHEMA


def merged(findings: Sequence[Finding]) -> tuple[Word, str]:
    """The verdict over `findings`, and the sentence that says which of them decided it."""
    fails = [f for f in findings if f.outcome == "fail" and f.owner == "product"]
    if fails:
        return "fail", _named("failed:", fails)
    invalid = [f for f in findings if f.outcome in ("invalid", "fail")]
    if invalid:
        return "invalid", _named("because of:", invalid)
    unverified = [f for f in findings if f.outcome == "unverified"]
    if unverified:
        return "unverified", _named("open:", unverified)
    inconclusive = [f for f in findings if f.outcome == "inconclusive"]
    if inconclusive:
        return "inconclusive", _named("open:", inconclusive)
    passed = [f for f in findings if f.outcome == "pass" and f.owner == "product"]
    if not passed:
        return "inconclusive", "nothing was judged"
    skipped = len(findings) - len([f for f in findings if f.outcome == "pass"])
    return "pass", f"all {len(findings) - skipped} findings pass" + (
        f", {skipped} skipped" if skipped else ""
    )


def _named(word: str, findings: Sequence[Finding]) -> str:
    titles = list(dict.fromkeys(finding.title or finding.check for finding in findings))
    return f"{word} {', '.join(titles)}"


def exit_code(word: Word, *, stopped: str, left_behind: bool, usage: bool = False) -> ExitCode:
    """The exit code: what remains on the machine comes first, then why the run ended early,
    then the verdict. `usage`: it is invalid by nothing but checks that cannot be asked. `stopped`
    is "usage" if the run could not begin as it was asked for.
    """
    if left_behind:
        return ExitCode.CLEANUP_INCOMPLETE
    if stopped == "guardrail":
        return ExitCode.GUARDRAIL
    if stopped == "interrupt":
        return ExitCode.INTERRUPTED
    usage = usage or stopped == "usage"
    return ExitCode.USAGE if usage and word == "invalid" else _EXIT_OF[word]


def verdict_text(verdict: Verdict) -> str:
    """The text of `verdict.json`."""
    return json_text(msgspec.to_builtins(verdict))
