"""Halt: the Watcher stops in time when told to the way its users tell it.

Where the target names no halt command, that is the stop signal.
"""

import signal
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding
from chaos.record.open_run import OpenRun

_PLAN_LIMIT_S = 30.0
# Whether a process was there at the last look before the halt, where that was sampled at all.
_RUNNING = """
select last("watcher.pid" order by line) is not null
from (select line, "watcher.pid" from moments, run where t_s <= to_s order by line desc limit 3)
where exists (select 1 from moments where "watcher.pid" is not null)
having count(*) > 0
"""


# An end by the stop signal itself is clean, also as shells report it.
_CLEAN = {0} | {code for s in (signal.SIGTERM, signal.SIGINT) for code in (-s, 128 + s)}


class HaltParams(Params, frozen=True):
    """`limit_s`: from the halt command to the end of the process. The plan's limit is a longer one
    for a target that asks for it (`halt.limit_s`, `stop_limit_s`).
    """

    limit_s: Annotated[float, msgspec.Meta(gt=0)] = _PLAN_LIMIT_S


def judge(run: OpenRun, params: HaltParams) -> list[Finding]:
    """The plan, soak A, row "Halt responsiveness: stops within 30 s"."""
    halted = run.last("halted")
    if halted is None:
        return [Finding(outcome="fail", summary="the Watcher was never halted")]
    line, event = halted
    running = event.detail.get("was_running", run.one(_RUNNING))
    if running is False:
        text = "there was no process to halt: the Watcher had ended before"
        return [Finding(outcome="fail", summary=text, evidence=[run.evidence(line, text)])]
    took_s = float(event.detail.get("took_s", 0.0))
    limit_s = params.limit_s
    if limit_s == _PLAN_LIMIT_S:
        limit_s = max(limit_s, run.target.end_limit_s)
    exit_code = event.detail.get("exit_code")
    wrong = []
    if event.detail.get("killed"):
        wrong.append("it did not stop and was killed")
    elif exit_code not in _CLEAN or (exit_code and event.detail.get("how") == "ends"):
        wrong.append(f"it ended with exit code {exit_code}")
    if took_s > limit_s:
        wrong.append("it took too long")
    if event.detail.get("flag_seen") is False:
        wrong.append(f"{', '.join(run.target.halt_flags)} was not written")
    if event.detail.get("paused") is False:
        wrong.append("it took work while it should pause")
    raced = _raced(run, limit_s)
    wrong += [one.text for one in raced]
    summary = f"stopped after {took_s:.1f} s, exit code {exit_code} (limit {limit_s:g} s)"
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary="; ".join([summary, *wrong]),
            measured=took_s,
            limit=limit_s,
            evidence=[run.evidence(line, "; ".join(wrong) or "halted"), *raced],
        )
    ]


def _raced(run: OpenRun, limit_s: float) -> list[Evidence]:
    """Halts that faults have brought about (`halts` in what they measured) and that went wrong."""
    wrong = []
    for window in run.faults:
        for state in ("recovered", "recovery_unproven"):
            halts = window.evidence(state).get("halts")
            for halt in halts if isinstance(halts, list) else []:
                code, took_s = halt.get("exit_code"), float(halt.get("took_s") or 0.0)
                if code == 0 and took_s <= limit_s:
                    continue
                text = f"{window.fault_id}: halted after {took_s:.1f} s, exit code {code}"
                wrong.append(Evidence(window.ref(state), text))
    return wrong


CHECK = Check(
    name="halt",
    title="Halt",
    origin="plan, soak A: Halt responsiveness",
    judge=judge,
    params=HaltParams,
    depends=depends_on("end"),
)
