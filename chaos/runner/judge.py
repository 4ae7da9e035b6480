"""Judge a stored run: checks -> findings -> verdict -> `verdict.json` and `report.md`.

A run that has just ended and a run that is judged again (`chaos check`) are treated alike:
everything is read from the run directory, and the same record gives the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.foreign import written_out_in
from chaos.checks.base import Check
from chaos.checks.finding import Finding
from chaos.checks.own import own_checks
from chaos.checks.registry import CHECKS, check_named
from chaos.checks.stack_health import outages
from chaos.checks.verdict import FaultOutcome, Verdict, exit_code, merged, verdict_text
from chaos.record.fault_window import FaultWindow
from chaos.record.history import FaultState
from chaos.record.open_run import OpenRun
from chaos.record.rundir import CONTAINERS_LEFT, RunDir, write_atomic
from chaos.record.target import ALL_UNSAID
from chaos.report.markdown import report_text
from chaos.triage.from_run import triage_run
from chaos.triage.text import markdown


def judge(rundir: RunDir) -> Verdict:
    """Judge a run and write its `verdict.json` and `report.md`.

    Raises `ChaosError` if there is no config, or if the files cannot be written.
    """
    with OpenRun(rundir) as run:
        judgement = judgement_of(run)
    store(rundir, judgement)
    return judgement.verdict


@dataclass(frozen=True)
class Judgement:
    """A verdict and its report for people (Markdown)."""

    verdict: Verdict
    report: str


def judgement_of(run: OpenRun) -> Judgement:
    """The judgement of an opened run; writes nothing."""
    verdict = verdict_of(run)
    provenance = _read_or_empty(run.run, run.run.provenance)
    text = report_text(verdict, provenance, _triage_section(run, verdict))
    return Judgement(verdict, text)


def store(rundir: RunDir, judgement: Judgement) -> str:
    """Write `verdict.json` and `report.md`. Raises `EnvironmentProblem` if that fails.

    A stored verdict over a whole record is kept if the record is no longer whole: then returns the
    message about it, else "".
    """
    verdict = judgement.verdict
    if kept := _better_lines(rundir, verdict):
        return (
            f"the stored verdict was made from {kept} records; this record has "
            f"{verdict.record_lines}, so the stored verdict stays"
        )
    path = rundir.report
    try:
        write_atomic(path, judgement.report)
        # Last, because this file means that the run was judged.
        path = rundir.verdict
        write_atomic(path, verdict_text(verdict))
    except OSError as error:
        raise EnvironmentProblem(
            f"the judgement cannot be stored: {error.strerror}",
            place=str(path),
            next_step="judge a copy of the run in a place that can be written",
        ) from error
    return ""


def _better_lines(rundir: RunDir, verdict: Verdict) -> int:
    """The number of records behind the stored verdict if that is the better one, else 0."""
    if verdict.record_whole:
        return 0
    stored = _read_or_empty(rundir, rundir.verdict)
    lines = stored.get("record_lines")
    better = stored.get("record_whole") is True
    return lines if better and isinstance(lines, int) and not isinstance(lines, bool) else 0


def verdict_of(run: OpenRun) -> Verdict:
    """The verdict over an opened run; writes nothing."""
    findings = _findings(run)
    word, reason = merged(findings)
    cleanup = run.last("cleanup")
    left = list(cleanup[1].detail.get("left", [])) if cleanup else []
    left_behind = cleanup is not None and not cleanup[1].detail.get("complete", False)
    if left and run.run.containers_removed:  # `chaos clean` came after the record
        left_behind = not all(item.startswith(CONTAINERS_LEFT) for item in left)
    broken = [finding for finding in findings if finding.outcome == "invalid"]
    usage = bool(broken) and all(finding.usage for finding in broken)
    code = exit_code(word, stopped=run.stopped, left_behind=left_behind, usage=usage)
    verdict = Verdict(
        verdict=word,
        exit_code=int(code),
        reason=reason,
        run_id=run.run_id,
        soak=str(run.config.get("soak", "")),
        title=str(run.config.get("title", "")),
        profile=str(run.config.get("profile_name", "")),
        seed=run.config.get("seed"),
        schedule_hash=str(run.schedule.get("hash", "")),
        stopped=run.stopped or "cut off",
        lasted_s=round(run.end_s, 3),
        findings=findings,
        faults=[_fault_outcome(window) for window in run.faults],
        notes=_notes(run, left),
        reproduce=str(run.config.get("reproduce", "")),
        record_lines=run.lines,
        record_whole=not run.incomplete,
    )
    escaped: Verdict = written_out_in(verdict)  # it contains names of files
    return escaped


def _triage_section(run: OpenRun, verdict: Verdict) -> str:
    """The triage as Markdown. A defect in it must not affect the verdict."""
    try:
        return markdown(triage_run(run, verdict))
    except Exception as error:  # a defect of the triage: report it in its place
        return f"## Triage\n\nThe triage itself failed: {type(error).__name__}: {error}"


def _findings(run: OpenRun) -> list[Finding]:
    criteria = run.criteria
    findings = [
        finding
        for check in CHECKS
        if check.always or check.name in criteria
        for finding in findings_of(run, check, criteria.get(check.name, {}))
    ]
    for name in criteria:
        try:
            check_named(name)
        except ChaosError as error:
            unknown = Finding(outcome="invalid", owner="harness", summary=str(error.message))
            findings.append(msgspec.structs.replace(unknown, check=name, title=name))
    own, wrong = own_checks(run.config.get("checks") or {}, place=f"{run.run.config} checks")
    for check in own:
        findings += findings_of(run, check, {})
    for name, problem in wrong.items():
        invalid = Finding(outcome="invalid", owner="harness", usage=True, summary=_text_of(problem))
        findings.append(invalid.stamped(check=name, title=name, origin="the experiment"))
    return findings


def _text_of(error: ChaosError) -> str:
    return f"{error.place}: {error.message}" if error.place else error.message


def findings_of(run: OpenRun, check: Check, raw: dict[str, Any]) -> list[Finding]:
    """The findings of one check. A check that crashes gives an invalid finding, never a pass."""
    if (left_out := _not_judged(run, check)) is not None:
        findings = [left_out]
    elif "files" in check.depends and not run.collected:
        reason = "the Watcher's files were not collected"
        findings = [Finding(outcome="inconclusive", summary=reason)]
    else:
        try:
            findings = check.findings(run, check.parsed(raw, place=str(run.run.config)))
        except ChaosError as error:
            usage = check.own and isinstance(error, UsageError)
            findings = [
                Finding(outcome="invalid", owner="harness", usage=usage, summary=_text_of(error))
            ]
        except Exception as error:  # a defect of the check must not count as a pass
            text = f"the check itself failed: {type(error).__name__}: {error}"
            findings = [Finding(outcome="invalid", owner="harness", summary=text)]
    return [
        _tempered(run, check, finding).stamped(
            check=check.name, title=check.title, origin=check.origin
        )
        for finding in findings
    ]


def _not_judged(run: OpenRun, check: Check) -> Finding | None:
    """Why the target leaves no evidence for `check`; None where it can be judged."""
    target = run.target
    reason = target.not_applicable.get(check.name)
    lacks = target.lacks(check.says)
    if not lacks and reason is None and check.lacks is not None:
        lacks = check.lacks(run)
    if not lacks and reason is None:
        return None
    reason = target.not_applicable.get(ALL_UNSAID) if reason is None else reason
    if reason is not None:
        return Finding(outcome="skipped", summary=f"not applicable: {reason}")
    text = f"not judged: {lacks}"
    asked = check.name in run.criteria
    return Finding(outcome="unverified" if asked else "skipped", summary=text)


def _tempered(run: OpenRun, check: Check, finding: Finding) -> Finding:
    """Make a finding inconclusive if the run, not the Watcher, may explain it.

    Reasons: an incomplete record or collection, an early end, an outage of our own services.
    """
    if "files" in check.depends and run.not_collected and finding.outcome in ("pass", "fail"):
        why = f"not everything was collected: {run.not_collected}"
        return msgspec.structs.replace(_doubtful(finding, why), owner="infrastructure")
    if finding.outcome != "fail":
        return finding
    if finding.owner == "product" and run.stopped == "usage" and run.phase_s("baseline") is None:
        return _doubtful(finding, "the run could not begin as it was asked for")
    if run.incomplete:
        return _doubtful(finding, f"the record is not whole: {run.incomplete[0].text}")
    if "end" in check.depends and not run.ran_to_end:
        return _doubtful(finding, f"the run ended early: {run.stopped or 'cut off'}")
    if "stack" in check.depends and (ours := outages(run)):
        return _doubtful(finding, f"{ours[0].name} at {ours[0].t_s:.1f} s may explain it")
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


def _notes(run: OpenRun, left: list[Any]) -> list[str]:
    faults = run.config.get("faults")
    notes = [
        f"Left out (--skip-unavailable): {fault.get('name')}: {fault['left_out']}."
        for fault in (faults if isinstance(faults, list) else [])
        if isinstance(fault, dict) and fault.get("left_out")
    ]
    if not run.faults and not run.contradictions:
        notes.append("No fault was scheduled: this run is the control that must pass without one.")
    if run.collected and run.one("select count(*) from damaged where problem = 'torn'"):
        notes.append("The decision log ends in half a line; what came before it was judged.")
    if run.torn:
        notes.append("The history ends in half a record; what came before it was judged.")
    guardrail = run.last("guardrail")
    if guardrail is not None:
        detail = guardrail[1].detail
        notes.append(
            f"Stopped by the guardrail {detail.get('guardrail', detail.get('name', '?'))}: "
            f"measured {detail.get('measured')}, limit {detail.get('limit')}."
        )
    notes += [f"Left behind: {item}. Next: chaos clean" for item in left]
    return notes


def _read_or_empty(run: RunDir, path: Path) -> dict[str, Any]:
    try:
        return run.read_json(path)
    except ChaosError:
        return {}
