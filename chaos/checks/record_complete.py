"""Record complete: the history is whole, so that what is not in it did not happen, and what was
to happen is known.
"""

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, Outcome
from chaos.checks.standstill import sample_gap
from chaos.record.history import Owner
from chaos.record.open_run import OpenRun

_PHASES = ("preflight", "provision", "baseline", "storm", "quiet", "halt", "collect")
# So many sampling periods, and at least so many seconds, without a sample: nobody looked.
_GAP_PERIODS = 20
_GAP_MIN_S = 5.0


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """Owned by the harness (or by what took its hold on the pod): a broken record makes a run
    invalid, never failed.
    """
    broken = run.incomplete
    gap = _gap(run)
    missing = [name for name in _PHASES if run.phase_s(name) is None]
    outcome: Outcome = "pass"
    summary = f"{run.lines} records, {run.sample_count} samples"
    evidence = broken
    owner: Owner = "harness"
    if run.run.engine_lost.exists():
        # What the harness inside writes after that is about a pod that nobody can act on any more.
        outcome, owner = "invalid", "infrastructure"
        evidence = [Evidence("engine_lost.json", "the container engine went away in mid-run")]
        evidence += broken
        summary += f"; {evidence[0].text}"
    elif broken:
        outcome = "invalid"
        summary += f"; {broken[0].text}"
    elif run.stopped != "complete":
        # Ended by the Watcher's own death, the record is whole as far as there was anything.
        ours = run.stopped == "error" and not run.named("watcher_exit")
        outcome = "invalid" if ours else "inconclusive"
        summary += f"; ended early: {run.stopped}{_message(run)}"
        stopped = run.last("stopped")
        evidence = [run.evidence(stopped[0], "the run was cut short")] if stopped else []
    elif missing:
        outcome = "invalid"
        summary += f"; phases never reached: {', '.join(missing)}"
    elif gap is not None:
        outcome = "inconclusive"
        summary += f"; {gap.text}"
        evidence = [gap]
    return [Finding(outcome=outcome, owner=owner, summary=summary, evidence=evidence)]


def _gap(run: OpenRun) -> Evidence | None:
    if not run.sample_count:
        return Evidence("history.jsonl", "nothing was sampled")
    gap_s, line = sample_gap(run)
    if gap_s <= max(_GAP_MIN_S, _GAP_PERIODS * run.sample_period_s):
        return None
    return run.evidence(line, f"no sample for {gap_s:.1f} s")


def _message(run: OpenRun) -> str:
    stopped = run.last("stopped")
    message = stopped[1].detail.get("message") if stopped else ""
    return f" ({message})" if message else ""


CHECK = Check(name="record_complete", title="Record complete", judge=judge, always=True)
