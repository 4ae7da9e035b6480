"""Record complete: the history is whole, so that what is not in it did not happen, and what was
to happen is known.
"""

from __future__ import annotations

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, Outcome
from chaos.checks.plan_record import contradictions
from chaos.checks.run_view import RunView
from chaos.record.history import Owner

_PHASES = ("preflight", "provision", "baseline", "storm", "quiet", "halt", "collect")
# So many sampling periods, and at least so many seconds, without a sample: nobody looked.
_GAP_PERIODS = 20
_GAP_MIN_S = 5.0


def judge(view: RunView, params: Params) -> list[Finding]:
    """Owned by the harness (or by what took its hold on the pod): a broken record makes a run
    invalid, never failed.
    """
    broken = _broken(view)
    gap = _gap(view)
    missing = [name for name in _PHASES if view.phase_s(name) is None]
    outcome: Outcome = "pass"
    summary = f"{view.lines} records, {len(view.samples)} samples"
    evidence = broken
    owner: Owner = "harness"
    if view.run.engine_lost.exists():
        # What the harness inside writes after that is about a pod that nobody can act on any more.
        outcome, owner = "invalid", "infrastructure"
        evidence = [Evidence("engine_lost.json", "the container engine went away in mid-run")]
        evidence += broken
        summary += f"; {evidence[0].text}"
    elif broken:
        outcome = "invalid"
        summary += f"; {broken[0].text}"
    elif view.stopped != "complete":
        # Ended by the Watcher's own death, the record is whole as far as there was anything.
        ours = view.stopped == "error" and not view.named("watcher_exit")
        outcome = "invalid" if ours else "inconclusive"
        summary += f"; ended early: {view.stopped}{_message(view)}"
        stopped = view.last("stopped")
        evidence = [view.evidence(stopped[0], "the run was cut short")] if stopped else []
    elif missing:
        outcome = "invalid"
        summary += f"; phases never reached: {', '.join(missing)}"
    elif gap is not None:
        outcome = "inconclusive"
        summary += f"; {gap.text}"
        evidence = [gap]
    return [Finding(outcome=outcome, owner=owner, summary=summary, evidence=evidence)]


def _broken(view: RunView) -> list[Evidence]:
    found = []
    if view.damage:
        found.append(Evidence("history.jsonl", view.damage))
    if not view.stopped:
        text = "the harness was cut off: there is no record of the end"
        found.append(view.evidence(view.lines, text))
    elif view.last("cleanup") is None:
        found.append(view.evidence(view.lines, "there is no record of the clean-up"))
    if view.torn:
        found.append(view.evidence(view.lines + 1, "the last record is torn"))
    return found + contradictions(view)


def _gap(view: RunView) -> Evidence | None:
    if not len(view.samples):
        return Evidence("history.jsonl", "nothing was sampled")
    period_s = float(view.profile.get("sample_period_s", 1.0))
    gap_s, line = view.sample_gap
    if gap_s <= max(_GAP_MIN_S, _GAP_PERIODS * period_s):
        return None
    return view.evidence(line, f"no sample for {gap_s:.1f} s")


def _message(view: RunView) -> str:
    stopped = view.last("stopped")
    message = stopped[1].detail.get("message") if stopped else ""
    return f" ({message})" if message else ""


CHECK = Check(name="record_complete", title="Record complete", judge=judge, always=True)
