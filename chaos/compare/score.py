"""The score of one judged run, from 0 (worst) to 1: what `chaos compare` compares. Reads only."""

import re
from typing import Literal, get_args

import msgspec

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import Finding, plural
from chaos.checks.recovery_time import CHECK as RECOVERY_TIME
from chaos.checks.recovery_time import Recovery, RecoveryTimeParams, recoveries
from chaos.checks.verdict import FaultOutcome, Verdict
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.report.stored import load

Kind = Literal["survived", "recovery"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A failure of one of these says that a request was lost, doubled or exchanged.
WORK_LOST = ("exactly_once", "requests_witnessed")
_NOT_A_RESULT = (ExitCode.INVALID, ExitCode.GUARDRAIL, ExitCode.CLEANUP_INCOMPLETE)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """`value` is None for a run that says nothing, with `why`; `why` also says what made it 0.

    `strikes` are those whose effect was proven, `survived` how many of them the daemon survived.
    `work_lost`: the findings by which requests were lost or doubled.
    """

    value: float | None
    why: str = ""
    strikes: int = 0
    survived: int = 0
    work_lost: list[str] = []


def score_of(run: RunDir, kind: Kind) -> Score:
    """The score of a stored run. Raises `ChaosError` if it cannot be read."""
    if not run.verdict.is_file():
        return Score(value=None, why="it ended without a verdict")
    verdict = load(run).verdict
    if void := _void(verdict):
        return Score(value=None, why=void)
    with OpenRun(run) as opened:
        params = RECOVERY_TIME.parsed(opened.criteria.get(RECOVERY_TIME.name, {}))
        assert isinstance(params, RecoveryTimeParams)
        limit_s, found = recoveries(opened, params)
    return scored(verdict, found, limit_s, kind)


def _void(verdict: Verdict) -> str:
    """Why this run says nothing of its daemon, "" if it does."""
    if verdict.verdict == "invalid" or verdict.exit_code in _NOT_A_RESULT:
        return f"its verdict is {verdict.verdict}, exit {verdict.exit_code}: {verdict.reason}"
    if verdict.stopped == "interrupt":
        return "it was interrupted"
    if verdict.faults and not any(fault.proven_s is not None for fault in verdict.faults):
        return f"none of its {plural(len(verdict.faults), 'strike')} was proven"
    return ""


def scored(verdict: Verdict, found: list[Recovery], limit_s: float, kind: Kind) -> Score:
    """The score by a verdict and the recoveries of its run, which took `limit_s` at most."""
    proven = [fault for fault in verdict.faults if fault.proven_s is not None]
    failed = [f for f in verdict.findings if f.outcome == "fail" and f.owner == "product"]
    work_lost = [f"{f.title}: {f.summary}" for f in failed if f.check in WORK_LOST]
    # Recoveries are judged strike by strike.
    others = [finding for finding in failed if finding.check != RECOVERY_TIME.name]
    unexplained = [f for f in others if not any(_names(f, fault) for fault in proven)]
    too_slow = {one.fault_id for one in found if one.outcome == "fail"}
    survived = [
        fault
        for fault in proven
        if fault.recovered_s is not None
        and fault.fault_id not in too_slow
        and not any(_names(finding, fault) for finding in others)
    ]
    value: float | None = len(survived) / len(proven) if proven else 1.0
    why = ""
    if kind == "recovery":
        value, why = _recovery(found, limit_s)
    if unexplained:
        why = f"failed: {', '.join(finding.title or finding.check for finding in unexplained)}"
        value, survived = 0.0, []
    return Score(
        value=value, why=why, strikes=len(proven), survived=len(survived), work_lost=work_lost
    )


def _recovery(found: list[Recovery], limit_s: float) -> tuple[float | None, str]:
    """1 for recoveries that took no time, 0 for those that took the limit or never came."""
    times = [one.took_s for one in found if one.took_s is not None]
    times += [limit_s for one in found if one.took_s is None and one.outcome == "fail"]
    if not times:
        return None, "no recovery of the LLM or the daemon could be timed"
    return 1 - sum(min(took_s, limit_s) for took_s in times) / (limit_s * len(times)), ""


def _names(finding: Finding, fault: FaultOutcome) -> bool:
    """Whether the evidence of a finding names that strike by its id."""
    word = re.compile(rf"\b{re.escape(fault.fault_id)}\b")
    return any(word.search(item.text) for item in finding.evidence)
