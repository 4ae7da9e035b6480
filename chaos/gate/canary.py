"""`chaos canary`: a run that must fail. If it passes, no verdict of the gate can be trusted.

The run is a short soak C under llm_timeout, on a Watcher that hides its fallbacks (images/canary).
Its verdict must be FAIL by the check `heuristic_fallbacks`. Any other result is exit code 4.
"""

import json
from pathlib import Path

from msgspec.structs import replace

from chaos.base import output
from chaos.base.exitcode import ExitCode
from chaos.checks.verdict import Verdict
from chaos.plan.plan import Backend, Plan, Sandbox
from chaos.plan.schedule import draw
from chaos.record.rundir import RunDir
from chaos.record.target import Install
from chaos.report.display import Display
from chaos.report.stored import load
from chaos.report.webhook import Webhook, run_content
from chaos.runner.child import Interrupts, run_child
from chaos.runner.launch import prepare
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
    hook: Webhook | None = None,
) -> int:
    """Run the canary, print the result, tell it to `hook`, and return the exit code.

    The code is 0 if the run failed for the right reason, 4 if not, and 130 after an interrupt.
    `seed` None draws a random one.
    """
    plan = canary_plan(seed, sandbox, backend)
    prepared = prepare(plan, draw(plan), runs, display)
    silent = display.json or display.quiet
    limit_s = plan.guardrails.run_budget_s + _BEYOND_BUDGET_S
    with Interrupts() as interrupts:
        ran = run_child(prepared, interrupts, limit_s, silent=silent)
    if ran == ExitCode.INTERRUPTED:
        if hook is not None:
            hook.send(run_content("canary", ran, prepared.run))
        return ran
    verdict = load(prepared.run).verdict if prepared.run.verdict.is_file() else None
    problem = problem_with(ran, verdict)
    output.say(lambda: _print_result(problem, ran, prepared.run, display))
    code = int(ExitCode.INVALID if problem else ExitCode.PASS)
    if hook is not None:
        word = "wrong" if problem else "caught"
        hook.send(run_content("canary", code, prepared.run, canary=word, problem=problem))
    return code


def canary_plan(seed: int | None, sandbox: Sandbox, backend: Backend = "local") -> Plan:
    """The plan of a short soak C, with the defective program instead of the Watcher's."""
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
    return replace(
        plan,
        target=replace(target, target="canary", workspace=workspace, watcher=watcher),
        title="The canary: must fail",
        reproduce=f"chaos canary --seed {plan.seed}"
        + (f" --backend {backend}" if backend != "local" else ""),
    )


def problem_with(code: int, verdict: Verdict | None) -> str:
    """Say what is wrong with the gate; "" if the run failed by the check `MUST_FAIL`.

    `code` is the exit code of the run. `verdict` is None if it wrote no verdict.
    """
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


def _print_result(problem: str, code: int, run: RunDir, display: Display) -> None:
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
