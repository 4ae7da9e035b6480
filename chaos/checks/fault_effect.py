"""Fault effect: every scheduled fault really happened, and was really healed.

Without this a pass proves nothing: "no failure was injected but everything passed".
"""

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """One finding for all scheduled faults; none in a run without faults."""
    faults = run.faults
    if not faults:
        return []
    proven = [w for w in faults if "effect_proven" in w.states]
    healed = [w for w in proven if "recovered" in w.states]
    unavailable = [w for w in faults if "unavailable" in w.states]
    problems = [(w, problem) for w in faults if (problem := _problem(w))]
    summary = f"{len(proven)} of {len(faults)} scheduled faults took effect, proven; "
    summary += f"{len(healed)} recovered, proven"
    if unavailable:
        summary += f"; {len(unavailable)} unavailable here"
    evidence = [Evidence(w.last_ref, f"{w.label}: {problem}") for w, problem in problems]
    evidence += [Evidence(w.ref("effect_proven"), f"{w.label} proven") for w in healed]
    only_unavailable = bool(proven) and all(w in unavailable for w, _ in problems)
    return [
        Finding(
            outcome="pass" if not problems else "skipped" if only_unavailable else "unverified",
            owner="harness",
            summary=summary,
            measured=len(faults) - len(problems),
            limit=len(faults),
            evidence=evidence,
        )
    ]


def _problem(window: FaultWindow) -> str:
    states = window.states
    if "unavailable" in states:
        return f"unavailable: {window.evidence('unavailable').get('reason', 'no reason given')}"
    if "effect_proven" not in states:
        return "its effect was not proven" if "injected" in states else "it was never injected"
    if "recovered" not in states:
        return "its recovery was not proven"
    if reason := window.evidence("recovered").get("not_struck"):
        return f"it changed nothing for the daemon: {reason}"
    return "" if "closed" in states else "its undo record was not closed"


CHECK = Check(name="fault_effect", title="Fault effect", judge=judge, always=True)
