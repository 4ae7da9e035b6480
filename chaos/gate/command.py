"""`chaos gate`: what was asked for, the work, the verdict, the files that hold it."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaos.base import output
from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.units import duration_text
from chaos.base.yamlfile import shown
from chaos.checks.verdict import Verdict
from chaos.gate import state as states
from chaos.gate.changelog import entry_text
from chaos.gate.conduct import ChildRunner, Conductor, End, Runner, read_verdict
from chaos.gate.facts import facts_of
from chaos.gate.junit import gate_junit
from chaos.gate.outcome import judged
from chaos.gate.settings import absolute, default_path, read_settings
from chaos.gate.state import GateDir, GateState, GateVerdict
from chaos.gate.steps import GatePlan, GateRequest, chosen_soaks, planned
from chaos.plan.plan import Backend, Sandbox
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.stored import load
from chaos.runner.child import Interrupts
from chaos.runner.launch import Display


@dataclass(frozen=True)
class Asked:
    """The command line, None where nothing was said."""

    runs: Path
    file: Path | None = None
    profile: str | None = None
    soaks: str | None = None
    faults: tuple[str, ...] = ()
    seed: int | None = None
    target: str | None = None
    sandbox: Sandbox | None = None
    backend: Backend | None = None
    gpu: bool = False
    resume: str | None = None
    fail_fast: bool = False
    dry_run: bool = False


def gate(asked: Asked, display: Display, runner: Runner | None = None) -> int:
    """Run, or go on with, a gate; its exit code. Raises `ChaosError` for what keeps it from it."""
    if asked.resume is not None:
        return _resume(asked, display, runner)
    plan = planned(_request(asked))
    if asked.dry_run:
        return _dry_run(plan, display)
    place, state = states.begin(plan, asked.runs)
    with place.locked():
        return _work(plan, place, state, asked, display, runner)


def _dry_run(plan: GatePlan, display: Display) -> int:
    if display.json:
        content = {
            "request": msgspec.to_builtins(plan.request),
            "planned_s": plan.planned_s,
            "steps": [
                {
                    "name": step.name,
                    "planned_s": step.planned_s,
                    "schedule_hash": step.schedule.hash,
                    "command": step.plan.reproduce,
                }
                for step in plan.steps
            ],
        }
        print(json.dumps(content, indent=2, sort_keys=True))
    else:
        print(_plan_text(plan))
    return ExitCode.PASS


def _request(asked: Asked) -> GateRequest:
    path = (asked.file or default_path()).resolve()
    settings = read_settings(path)
    return GateRequest(
        file=str(path),
        profile=asked.profile or settings.default_profile,
        soaks=chosen_soaks(asked.soaks, settings),
        faults=asked.faults or tuple(settings.faults),
        seed=secrets.randbits(32) if asked.seed is None else asked.seed,
        target=absolute(asked.target) if asked.target else None,
        sandbox=asked.sandbox or "namespaces",
        backend=asked.backend or "local",
        gpu=asked.gpu,
    )


def _resume(asked: Asked, display: Display, runner: Runner | None) -> int:
    place = states.find_gate(asked.resume or "latest", asked.runs)
    with place.locked():
        state = place.read()
        _check_asked(asked, state, place)
        plan = planned(state.request)
        states.check_same(plan, state, place)
        if asked.dry_run:
            return _dry_run(plan, display)
        return _work(plan, place, state, asked, display, runner)


def _check_asked(asked: Asked, state: GateState, place: GateDir) -> None:
    """A gate goes on as it began: options that say otherwise are refused."""
    request = state.request
    soaks = None
    if asked.soaks is not None:
        soaks = chosen_soaks(asked.soaks, read_settings(Path(request.file)))
    for option, wanted, stored in (
        ("--config", str(asked.file.resolve()) if asked.file else None, request.file),
        ("--profile", asked.profile, request.profile),
        ("--soaks", soaks, request.soaks),
        ("--fault", asked.faults or None, request.faults),
        ("--seed", asked.seed, request.seed),
        ("--target", absolute(asked.target) if asked.target else None, request.target),
        ("--sandbox", asked.sandbox, request.sandbox),
        ("--backend", asked.backend, request.backend),
        ("--gpu", asked.gpu or None, request.gpu),
    ):
        if wanted is not None and wanted != stored:
            raise UsageError(
                f"the gate began with {_text(stored)}, not with {_text(wanted)}",
                place=f"{option} with --resume {shown(place.path)}",
                next_step=f"leave {option} out, or start a new gate",
            )


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _work(
    plan: GatePlan,
    place: GateDir,
    state: GateState,
    asked: Asked,
    display: Display,
    runner: Runner | None,
) -> int:
    def say(text: str) -> None:
        if not display.quiet:
            out = sys.stderr if display.json else sys.stdout
            output.say(lambda: print(text, file=out, flush=True))

    say(_plan_text(plan))
    say(f"gate: {shown(place.path)}\n")
    runner = runner or ChildRunner(display)
    runner.ready()
    with Interrupts() as interrupts:
        conductor = Conductor(
            plan,
            place,
            state,
            runner,
            interrupts,
            say,
            fail_fast=asked.fail_fast,
        )
        try:
            end = conductor.conduct()
        except ChaosError:
            say(_state_text(state))
            raise
    if end is End.INTERRUPTED:
        say(_state_text(state))
        print(
            f"chaos: interrupted; go on with: chaos gate --resume {shown(place.path)}",
            file=sys.stderr,
        )
        if display.json:
            _print_json(state)
        return ExitCode.INTERRUPTED
    return _conclude(plan, place, state, display)


def _conclude(plan: GatePlan, place: GateDir, state: GateState, display: Display) -> int:
    """Judge the gate, write its files, say the final word."""
    runs = _finished(place, state)
    provenance = [_provenance(run) for run, _ in runs.values()]
    verdict = judged(state, plan.required, provenance)
    state.verdict = verdict
    place.write(state)
    facts = {name: facts_of(run, found) for name, (run, found) in runs.items()}
    stored = {name: load(run) for name, (run, _) in runs.items()}
    try:
        write_atomic(place.changelog, entry_text(state, verdict, facts))
        write_atomic(place.junit, gate_junit(state, verdict, stored))
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write the reports of the gate: {error.strerror}",
            place=str(place.path),
            next_step=f"free some space, then: chaos gate --resume {place.path}",
        ) from error
    if display.json:
        output.say(lambda: _print_json(state))
    else:
        line = f"{verdict.verdict}: {verdict.reason} | {place.path}"
        text = line if display.quiet else _final_text(place, state, verdict)
        output.say(lambda: print(text, flush=True))
    return verdict.exit_code


def _finished(place: GateDir, state: GateState) -> dict[str, tuple[RunDir, Verdict]]:
    found = {}
    for item in state.steps:
        run = place.run(item)
        if item.state == "done" and run is not None:
            verdict = read_verdict(run)
            if verdict is None:
                raise ChaosError(
                    "the verdict of a finished run is gone",
                    place=str(run.verdict),
                    next_step=f"chaos gate --resume {place.path}",
                )
            found[item.name] = (run, verdict)
    return found


def _provenance(run: RunDir) -> dict[str, Any]:
    return run.read_json(run.provenance) if run.provenance.is_file() else {}


def _print_json(state: GateState) -> None:
    print(json.dumps(msgspec.to_builtins(state), indent=2, sort_keys=True), flush=True)


# -- texts ------------------------------------------------------------------------------------


def _plan_text(plan: GatePlan) -> str:
    """What will run, how long each takes, and all of it."""
    request = plan.request
    lines = [
        f"gate: {len(plan.steps)} runs, about {duration_text(plan.planned_s)} | profile "
        f"{request.profile} | seed {request.seed}"
    ]
    for number, step in enumerate(plan.steps, start=1):
        faults = f"{len(step.schedule.items)} fault(s)" if step.schedule.items else ""
        lines.append(
            f"  {number:>2}  {step.name:<36}{duration_text(step.planned_s):>12}  "
            f"schedule {step.schedule.hash}  {faults}".rstrip()
        )
    return "\n".join(lines)


def _state_text(state: GateState) -> str:
    done = sum(item.state == "done" for item in state.steps)
    return f"gate: {done} of {len(state.steps)} runs are finished, and kept"


def _final_text(place: GateDir, state: GateState, verdict: GateVerdict) -> str:
    lines = ["", "gate"]
    for item in state.steps:
        took = duration_text(item.lasted_s) if item.lasted_s is not None else ""
        word = item.verdict or "not run"
        lines.append(f"  {word:<14}{item.name:<36}{took:>12}  {item.run or ''}".rstrip())
    lines += [f"  {note}" for note in verdict.notes]
    lines += [
        "",
        f"{verdict.verdict}  {verdict.reason}  (exit {verdict.exit_code})",
        f"  gate       {place.path}",
        f"  files      {place.state.name}, {place.changelog.name}, {place.junit.name}",
    ]
    if any(item.state != "done" for item in state.steps):
        lines.append(f"  go on      chaos gate --resume {shown(place.path)}")
    return "\n".join(lines)
