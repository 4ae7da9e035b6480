"""`chaos gate`: plans a gate or resumes one, runs it, judges it, and writes its reports."""

import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from chaos.base import output
from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.yamlfile import shown
from chaos.gate import state as states
from chaos.gate.changelog import entry_text
from chaos.gate.junit import gate_junit
from chaos.gate.loop import End, GateLoop, Runner
from chaos.gate.options import GateOptions
from chaos.gate.outcome import gate_verdict
from chaos.gate.page import gate_page
from chaos.gate.request import GateRequest
from chaos.gate.run_numbers import numbers_of
from chaos.gate.settings import absolute, default_path, read_settings
from chaos.gate.state import GateDir, GateState
from chaos.gate.steps import GatePlan, chosen_soaks, plan_gate
from chaos.gate.sweep_run import provenance_of, sweep_of
from chaos.gate.sweep_step import SweepStep
from chaos.gate.text import final_text, plan_text, state_text
from chaos.plan.describe import left_out
from chaos.record.rundir import write_atomic
from chaos.report.display import Display
from chaos.report.stored import load
from chaos.report.webhook import Webhook, failing, head, webhook
from chaos.runner.child import Interrupts


def gate(options: GateOptions, runner: Runner | None = None) -> int:
    """Run or resume a gate, and return the exit code.

    `runner` None starts real runs. Raises `ChaosError` if the request is wrong, or if a run cannot
    start.
    """
    hook = webhook(options.notify)
    if options.resume is not None:
        return _resume(options, runner, hook)
    plan = plan_gate(_request(options))
    if options.dry_run:
        return _dry_run(plan, options)
    folder, state = states.begin(plan, options.runs)
    with folder.locked():
        return _notified(hook, folder, state, lambda: _run(plan, folder, state, options, runner))


def _notified(
    hook: Webhook | None, folder: GateDir, state: GateState, run: Callable[[], int]
) -> int:
    """Call `run`, and tell `hook` how the gate ended, also by an error."""
    if hook is None:
        return run()
    try:
        code = run()
    except ChaosError as error:
        hook.send(_content(folder, state, error.exit_code, error.message))
        raise
    hook.send(_content(folder, state, code))
    return code


def _content(folder: GateDir, state: GateState, code: int, error: str = "") -> dict[str, Any]:
    """What is sent about a gate that ended with `code`, or by `error`."""
    verdict = state.verdict
    paths = {"gate": folder.path, "changelog": folder.changelog, "junit": folder.junit}
    keys = ("name", "state", "verdict", "exit_code", "run", "command")
    return {
        **head("gate", code),
        "gate_id": state.gate_id,
        "soak": ",".join(state.request.soaks),
        "verdict": verdict.verdict if verdict else None,
        "reason": error or (verdict.reason if verdict else state.state),
        "stopped": state.state,
        "steps": [{key: getattr(step, key) for key in keys} for step in state.steps],
        "sweep": None if state.sweep is None else msgspec.to_builtins(state.sweep),
        "findings": [
            {**finding, "step": step.name}
            for step in state.steps
            if step.state == "done" and (run := folder.run(step)) is not None
            for finding in failing(run)
        ],
        "paths": {name: str(path) for name, path in paths.items() if path.exists()},
    }


def _dry_run(plan: GatePlan, options: GateOptions) -> int:
    if options.json:
        content = {
            "request": msgspec.to_builtins(plan.request),
            "planned_s": plan.planned_s,
            "steps": [
                {
                    "name": step.name,
                    "planned_s": step.planned_s,
                    "schedule_hash": step.schedule.hash,
                    "command": step.plan.reproduce,
                    "left_out": left_out(step.plan),
                }
                for step in plan.steps
            ],
            "sweep": None if plan.sweep is None else _sweep_content(plan.sweep),
        }
        print(json.dumps(content, indent=2, sort_keys=True))
    else:
        print(plan_text(plan))
    return ExitCode.PASS


def _sweep_content(step: SweepStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "after": step.after,
        "left_out": step.left_out,
        "planned_s": 0.0 if step.left_out else step.planned_s,
        "asked": msgspec.to_builtins(step.asked),
    }


def _request(options: GateOptions) -> GateRequest:
    path = (options.config or default_path()).resolve()
    settings = read_settings(path)
    return GateRequest(
        file=str(path),
        profile=options.profile or settings.default_profile,
        soaks=chosen_soaks(options.soaks, settings),
        faults=tuple(options.fault) or tuple(settings.faults),
        seed=secrets.randbits(32) if options.seed is None else options.seed,
        target=absolute(options.target) if options.target else None,
        sandbox=options.sandbox or "namespaces",
        backend=options.backend or "local",
        witness=options.witness or "all",
        gpu=options.gpu,
        skip_unavailable=options.skip_unavailable,
        no_sweep=options.no_sweep,
    )


def _resume(options: GateOptions, runner: Runner | None, hook: Webhook | None) -> int:
    folder = states.find_gate(options.resume or "latest", options.runs)
    with folder.locked():
        state = folder.read()
        _check_options_unchanged(options, state, folder)
        plan = plan_gate(state.request)
        states.check_plan_unchanged(plan, state, folder)
        if options.dry_run:
            return _dry_run(plan, options)
        return _notified(hook, folder, state, lambda: _run(plan, folder, state, options, runner))


def _check_options_unchanged(options: GateOptions, state: GateState, folder: GateDir) -> None:
    """Raise `UsageError` for an option that differs from the stored request of the gate."""
    request = state.request
    soaks = None
    if options.soaks is not None:
        soaks = chosen_soaks(options.soaks, read_settings(Path(request.file)))
    for option, wanted, stored in (
        ("--config", str(options.config.resolve()) if options.config else None, request.file),
        ("--profile", options.profile, request.profile),
        ("--soaks", soaks, request.soaks),
        ("--fault", tuple(options.fault) or None, request.faults),
        ("--seed", options.seed, request.seed),
        ("--target", absolute(options.target) if options.target else None, request.target),
        ("--sandbox", options.sandbox, request.sandbox),
        ("--backend", options.backend, request.backend),
        ("--witness", options.witness, request.witness),
        ("--gpu", options.gpu or None, request.gpu),
        ("--skip-unavailable", options.skip_unavailable or None, request.skip_unavailable),
        ("--no-sweep", options.no_sweep or None, request.no_sweep),
    ):
        if wanted is not None and wanted != stored:
            raise UsageError(
                f"the gate began with {_text(stored)}, not with {_text(wanted)}",
                place=f"{option} with --resume {shown(folder.path)}",
                next_step=f"leave {option} out, or start a new gate",
            )


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _run(
    plan: GatePlan,
    folder: GateDir,
    state: GateState,
    options: GateOptions,
    runner: Runner | None,
) -> int:
    def say(text: str, end: str = "\n") -> None:
        if not options.quiet:
            out = sys.stderr if options.json else sys.stdout
            output.say(lambda: print(text, end=end, file=out, flush=True))

    say(plan_text(plan))
    say(f"gate: {shown(folder.path)}\n")
    runner = runner or Runner(
        Display.chosen(
            json=options.json,
            quiet=options.quiet,
            no_color=options.no_color,
            verbose=options.verbose,
        )
    )
    runner.ready()
    with Interrupts() as interrupts:
        loop = GateLoop(plan, folder, state, runner, interrupts, say, fail_fast=options.fail_fast)
        try:
            end = loop.run()
        except ChaosError:
            say(state_text(state))
            raise
    if end is End.INTERRUPTED:
        say(state_text(state))
        print(
            f"chaos: interrupted; go on with: chaos gate --resume {shown(folder.path)}",
            file=sys.stderr,
        )
        if options.json:
            _print_json(state)
        return ExitCode.INTERRUPTED
    return _conclude(plan, folder, state, options)


def _conclude(plan: GatePlan, folder: GateDir, state: GateState, options: GateOptions) -> int:
    """Judge the gate, write its reports, and print the verdict. Returns the exit code."""
    runs = {
        step.name: load(run)
        for step in state.steps
        if step.state == "done" and (run := folder.run(step)) is not None
    }
    sweep = sweep_of(folder, state)
    provenance = [stored.provenance for stored in runs.values()]
    provenance += [] if sweep is None else provenance_of(*sweep)
    verdict = gate_verdict(state, plan.required, provenance)
    state.verdict = verdict
    folder.write(state)
    numbers = {name: numbers_of(stored.run, stored.verdict) for name, stored in runs.items()}
    swept = None if sweep is None else sweep[1]
    try:
        write_atomic(folder.changelog, entry_text(state, verdict, numbers, swept))
        write_atomic(folder.junit, gate_junit(state, verdict, runs, swept))
        write_atomic(folder.page, gate_page(folder, state, verdict, runs, numbers, swept))
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write the reports of the gate: {error.strerror}",
            place=str(folder.path),
            next_step=f"free some space, then: chaos gate --resume {folder.path}",
        ) from error
    if options.json:
        output.say(lambda: _print_json(state))
    else:
        line = f"{verdict.verdict}: {verdict.reason} | {folder.path}"
        text = line if options.quiet else final_text(folder, state, verdict, runs, swept)
        output.say(lambda: print(text, flush=True))
    return verdict.exit_code


def _print_json(state: GateState) -> None:
    print(json.dumps(msgspec.to_builtins(state), indent=2, sort_keys=True), flush=True)
