"""Judge a stored run: checks -> findings -> verdict -> `verdict.json` and `report.md`.

The same for a run that has just ended and for one judged again (`chaos check`): everything is read
from the run directory, and the same history gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from chaos.base.errors import ChaosError, EnvironmentProblem
from chaos.base.foreign import written_out_in
from chaos.checks.base import Check
from chaos.checks.finding import Finding, stamped
from chaos.checks.plan_record import contradictions
from chaos.checks.registry import CHECKS, check_named
from chaos.checks.run_view import FaultWindow, RunView
from chaos.checks.stack_health import outages
from chaos.checks.verdict import FaultOutcome, Verdict, exit_code, merged, verdict_text
from chaos.record.history import FaultState
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.markdown import report_text
from chaos.triage.from_run import triage_run
from chaos.triage.text import markdown


def judge(run: RunDir) -> Verdict:
    """Judge `run` and write its `verdict.json` and `report.md`.

    Raises `ChaosError` when there is no config to judge by, or when they cannot be written.
    """
    judgement = judgement_of(run)
    store(run, judgement)
    return judgement.verdict


@dataclass(frozen=True)
class Judgement:
    """A verdict and its report for people (Markdown)."""

    verdict: Verdict
    report: str


def judgement_of(run: RunDir) -> Judgement:
    """Judge `run`; writes nothing. Raises `ChaosError` when there is no config to judge by."""
    view = RunView(run)
    verdict = verdict_of(view)
    text = report_text(verdict, _provenance(run), _triage_section(view, verdict))
    return Judgement(verdict, text)


def store(run: RunDir, judgement: Judgement) -> None:
    """Write `verdict.json` and `report.md`; `EnvironmentProblem` when that cannot be."""
    path = run.report
    try:
        write_atomic(path, judgement.report)
        # Last: it is what says that the run was judged.
        path = run.verdict
        write_atomic(path, verdict_text(judgement.verdict))
    except OSError as error:
        raise EnvironmentProblem(
            f"the judgement cannot be stored: {error.strerror}",
            place=str(path),
            next_step="judge a copy of the run in a place that can be written",
        ) from error


def verdict_of(view: RunView) -> Verdict:
    """The judgement of a run; writes nothing."""
    findings = _findings(view)
    word, reason = merged(findings)
    cleanup = view.last("cleanup")
    left = list(cleanup[1].detail.get("left", [])) if cleanup else []
    left_behind = cleanup is not None and not cleanup[1].detail.get("complete", False)
    verdict = Verdict(
        verdict=word,
        exit_code=int(exit_code(word, stopped=view.stopped, left_behind=left_behind)),
        reason=reason,
        run_id=view.header.run_id,
        soak=str(view.config.get("soak", "")),
        title=str(view.config.get("title", "")),
        profile=str(view.config.get("profile_name", "")),
        seed=view.config.get("seed"),
        schedule_hash=str(view.schedule.get("hash", "")),
        stopped=view.stopped or "cut off",
        lasted_s=round(view.end_s, 3),
        findings=findings,
        faults=[_fault_outcome(window) for window in view.faults],
        notes=_notes(view, left),
        reproduce=str(view.config.get("reproduce", "")),
    )
    written: Verdict = written_out_in(verdict)  # names of files stand in texts and references
    return written


def _triage_section(view: RunView, verdict: Verdict) -> str:
    """The verdict stands whatever becomes of its explanation."""
    try:
        return markdown(triage_run(view, verdict))
    except Exception as error:  # a defect of triage: said where its answer would stand
        return f"## Triage\n\nThe triage itself failed: {type(error).__name__}: {error}"


def check_run(run: RunDir) -> Verdict:
    """`chaos check RUN`: the same judgement on a stored run."""
    return judge(run)


def _findings(view: RunView) -> list[Finding]:
    criteria = view.criteria
    found = [
        finding
        for check in CHECKS
        if check.always or check.name in criteria
        for finding in _judged(view, check, criteria.get(check.name, {}))
    ]
    for name in criteria:
        try:
            check_named(name)
        except ChaosError as error:
            unknown = Finding(outcome="invalid", owner="harness", summary=str(error.message))
            found.append(msgspec.structs.replace(unknown, check=name, title=name))
    return found


def _judged(view: RunView, check: Check, raw: dict[str, Any]) -> list[Finding]:
    """The findings of one check; a check that crashes is invalid, never a pass."""
    if "files" in check.needs and not view.files.collected:
        reason = "the Watcher's files were not collected"
        findings = [Finding(outcome="inconclusive", summary=reason)]
    else:
        try:
            findings = check.judge(view, check.parsed(raw, place=str(view.run.config)))
        except ChaosError as error:
            findings = [Finding(outcome="invalid", owner="harness", summary=error.message)]
        except Exception as error:  # a defect of the check: said, and never held for a pass
            text = f"the check itself failed: {type(error).__name__}: {error}"
            findings = [Finding(outcome="invalid", owner="harness", summary=text)]
    return [
        stamped(
            _tempered(view, check, finding),
            check=check.name,
            title=check.title,
            origin=check.origin,
        )
        for finding in findings
    ]


def _tempered(view: RunView, check: Check, finding: Finding) -> Finding:
    """A failure that the run's own end or an outage of ours may explain proves nothing; neither
    does what is read from a part of the files.
    """
    if "files" in check.needs and view.incomplete and finding.outcome in ("pass", "fail"):
        why = f"not everything was collected: {view.incomplete}"
        return msgspec.structs.replace(_doubtful(finding, why), owner="infrastructure")
    if finding.outcome != "fail":
        return finding
    if check.needs and view.damage:
        return _doubtful(finding, "the history is damaged")
    if "end" in check.needs and not view.ran_to_end:
        return _doubtful(finding, f"the run ended early: {view.stopped or 'cut off'}")
    if "stack" in check.needs and (found := outages(view)):
        return _doubtful(finding, f"{found[0][1].name} at {found[0][1].t_s:.1f} s may explain it")
    return finding


def _doubtful(finding: Finding, why: str) -> Finding:
    return msgspec.structs.replace(
        finding, outcome="inconclusive", summary=f"{finding.summary} ({why})"
    )


def _fault_outcome(window: FaultWindow) -> FaultOutcome:
    proof: FaultState = "effect_proven" if "effect_proven" in window.states else "effect_unproven"
    after: FaultState = "recovered" if "recovered" in window.states else "recovery_unproven"
    reached = max(window.states.values(), key=lambda item: item[0], default=None)
    reason = window.evidence("unavailable")
    return FaultOutcome(
        fault_id=window.fault_id,
        name=window.name,
        state=reached[1].state if reached else "never reached",
        injected_s=window.start_s,
        proven_s=window.at_s("effect_proven"),
        recovering_s=window.at_s("recovering"),
        recovered_s=window.end_s,
        effect=window.evidence(proof) or reason,
        recovery=window.evidence(after),
        ref=f"history.jsonl:{reached[0]}" if reached else "schedule.json",
    )


def _notes(view: RunView, left: list[Any]) -> list[str]:
    notes = []
    if not view.faults and not contradictions(view):
        notes.append("No fault was scheduled: this run is the control that must pass without one.")
    if view.files.decisions_torn:
        notes.append("The decision log ends in half a line; what came before it was judged.")
    if view.torn:
        notes.append("The history ends in half a record; what came before it was judged.")
    guardrail = view.last("guardrail")
    if guardrail is not None:
        detail = guardrail[1].detail
        notes.append(
            f"Stopped by the guardrail {detail.get('guardrail', detail.get('name', '?'))}: "
            f"measured {detail.get('measured')}, limit {detail.get('limit')}."
        )
    notes += [f"Left behind: {item}. Next: chaos clean" for item in left]
    return notes


def _provenance(run: RunDir) -> dict[str, Any]:
    try:
        return run.read_json(run.provenance)
    except ChaosError:
        return {}
