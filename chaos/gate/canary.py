"""`chaos canary`: a run that must fail. A gate that passes it cannot be trusted.

A short soak C under llm_timeout on a Watcher that hides its fallbacks (images/canary). The verdict
must be FAIL, by the check for just that. Anything else, a pass above all, is exit code 4.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from msgspec.structs import replace

from chaos.base import output
from chaos.base.errors import EnvironmentProblem
from chaos.base.exitcode import ExitCode
from chaos.checks.verdict import Verdict
from chaos.plan.plan import Backend, Plan, Sandbox
from chaos.plan.schedule import draw
from chaos.record.rundir import RunDir
from chaos.record.target import Install
from chaos.runner.child import Interrupts, run_child
from chaos.runner.launch import Display, prepare
from chaos.runner.resolve import Request, resolve

MUST_FAIL = "heuristic_fallbacks"
FAULT = "llm_timeout:hold=20s,count=1"
_SHORT = (
    "baseline_s=8",
    "storm_s=34",
    "quiet_s=8",
    "criteria.completed_cycles.min=2",
    "criteria.convergence.min_rise=0.01",
)
_BEYOND_BUDGET_S = 600.0


def canary(
    runs: Path,
    display: Display,
    *,
    seed: int | None,
    sandbox: Sandbox,
    backend: Backend = "local",
) -> int:
    """Run it; 0 when it failed as it must, 4 when it did not, 130 when interrupted."""
    plan = canary_plan(seed, sandbox, backend)
    prepared = prepare(plan, draw(plan), runs, display)
    silent = display.json or display.quiet
    limit_s = plan.guardrails.run_budget_s + _BEYOND_BUDGET_S
    with Interrupts() as interrupts:
        code = run_child(prepared, interrupts, limit_s, silent=silent)
    if code == ExitCode.INTERRUPTED:
        return code
    verdict = _verdict(prepared.run)
    problem = disappointment(code, verdict)
    output.say(lambda: _say(problem, code, prepared.run, display))
    return int(ExitCode.INVALID if problem else ExitCode.PASS)


def canary_plan(seed: int | None, sandbox: Sandbox, backend: Backend = "local") -> Plan:
    """The short soak C, with the defective program where the Watcher's own would be."""
    request = Request(
        "soak_c", faults=[FAULT], seed=seed, overrides=_SHORT, sandbox=sandbox, backend=backend
    )
    plan = resolve(request)
    target = plan.target
    workspace = replace(
        target.workspace,
        install=[*target.workspace.install, Install(source="canary/canary.py", to="canary.py")],
    )
    watcher = replace(target.watcher, start=["{python}", "canary.py", "--daemon"])
    changed = replace(target, target="canary", workspace=workspace, watcher=watcher)
    return replace(
        plan,
        target=changed,
        title="The canary: must fail",
        reproduce=f"chaos canary --seed {plan.seed}"
        + (f" --backend {backend}" if backend != "local" else ""),
    )


def disappointment(code: int, verdict: Verdict | None) -> str:
    """What is wrong with the gate; empty when it said no for the right reason."""
    if verdict is None:
        return f"the run ended with exit code {code} and without a verdict"
    if code == ExitCode.PASS:
        return "the gate passed a Watcher that hides its fallbacks: trust none of its verdicts"
    if code != ExitCode.FAIL:
        return f"the run was to fail, and ended with exit code {code}: {verdict.reason}"
    failed = [finding.check for finding in verdict.findings if finding.outcome == "fail"]
    if MUST_FAIL not in failed:
        return f"it failed, but not by {MUST_FAIL}: {', '.join(failed)}"
    return ""


def _verdict(run: RunDir) -> Verdict | None:
    if not run.verdict.is_file():
        return None
    try:
        return msgspec.convert(run.read_json(run.verdict), Verdict)
    except msgspec.ValidationError as error:
        raise EnvironmentProblem(f"not a verdict: {error}", place=str(run.verdict)) from error


def _say(problem: str, code: int, run: RunDir, display: Display) -> None:
    if display.json:
        content = {"canary": "wrong" if problem else "caught", "problem": problem}
        print(json.dumps({**content, "run": str(run.path), "run_exit_code": code}, indent=2))
        return
    if problem:
        print(f"canary: NOT CAUGHT: {problem}\n  run {run.path}", flush=True)
    else:
        print(
            "canary: caught: the defective Watcher failed, by the check for its defect", flush=True
        )
