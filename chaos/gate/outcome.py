"""The verdict of a gate over its runs: PRODUCTION-READY, NEEDS FIXES or NOT PROVEN.

Must not read or write files.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import plural
from chaos.gate.state import GateState, GateVerdict, StepState, SweepState

# Values of provenance that every run must record, and that must be equal in all runs. Otherwise
# the runs tested different systems.
_SAME = (
    ("chaos",),
    ("git", "revision"),
    ("git", "dirty"),
    ("assets", "model_sha256"),
    ("assets", "llama_build"),
    ("assets", "toxiproxy_version"),
    ("proxy", "kind"),
)
_WATCHER = {"local": ("watcher", "programs_sha256"), "docker": ("containers", "digests")}
# Null is a valid value here: outside a checkout there is no revision.
_MAY_BE_NULL = (("git", "revision"), ("git", "dirty"))


def gate_verdict(
    state: GateState, required: Sequence[str], provenance: Sequence[Mapping[str, Any]]
) -> GateVerdict:
    """Return the verdict over the finished runs.

    `required` are the soaks of a complete gate, `provenance` is that of each finished run. One
    failed run, or a sweep with a break that was not survived, means NEEDS FIXES. PRODUCTION-READY
    requires that all soaks passed on the same system, both clean and under faults, and the crash
    sweep that the gate's file asks for.
    """
    done = [step for step in state.to_make if step.state == "done"]
    not_run = [step.name for step in state.to_make if step.state != "done"]
    notes = [f"not run: {', '.join(not_run)}"] if not_run else []
    notes += [f"{step.name}: {note}" for step in done for note in step.notes]
    notes += [
        f"{step.name} had left {leftover}, removed" for step in done for leftover in step.left
    ]
    verdict = partial(GateVerdict, notes=notes)
    if failed := [step.name for step in done if step.verdict == "fail"]:
        reason = f"failed: {', '.join(failed)}"
        return verdict(verdict="NEEDS FIXES", exit_code=ExitCode.FAIL, reason=reason)
    undecided = [step for step in done if step.verdict != "pass" or step.exit_code != 0]
    gaps = _gaps(state, required, provenance)
    if undecided or not_run or gaps:
        reasons = [_undecided(step) for step in undecided]
        reasons += [f"not run: {', '.join(not_run)}"] if not_run else []
        reason = "; ".join([*reasons, *gaps])
        return verdict(verdict="NOT PROVEN", exit_code=_exit_code(undecided), reason=reason)
    reason = f"all {len(state.steps)} runs pass at the scale {state.request.profile!r}"
    if state.sweep is not None:
        reason += f", {state.sweep.name}: {state.sweep.counts_text}"
    return verdict(verdict="PRODUCTION-READY", exit_code=ExitCode.PASS, reason=reason)


def _gaps(
    state: GateState, required: Sequence[str], provenance: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the reasons for which the gate would not be proven even if all runs passed."""
    gaps = []
    if missing := [soak for soak in required if soak not in state.request.soaks]:
        gaps.append(f"left out: {', '.join(missing)}")
    if state.sweep is not None and state.sweep.left_out:
        gaps.append(f"left out: {state.sweep.name} ({state.sweep.left_out})")
    if all(step.control for step in state.steps):
        gaps.append("no fault was tried")
    if state.request.witness == "none":
        gaps.append("without witnesses: what the Watcher says of itself was not checked")
    for path in (*_SAME, _WATCHER[state.request.backend]):
        gaps += _differences(path, [_at(recorded, path) for recorded in provenance])
    return gaps


def _undecided(step: StepState | SweepState) -> str:
    if isinstance(step, StepState):
        return f"{step.name} is {step.verdict} (exit {step.exit_code})"
    return f"{step.name} is {step.word} (exit {step.exit_code}): {step.reason or step.counts_text}"


def _differences(path: tuple[str, ...], values: Sequence[Any]) -> list[str]:
    """Return a text if `values` (one per run) are not all recorded and equal.

    The keys of an object are compared one by one.
    """
    name = " ".join(path)
    missing = [value is _ABSENT or (value is None and path not in _MAY_BE_NULL) for value in values]
    if count := sum(missing):
        return [f"{name} is not recorded in {count} of {plural(len(values), 'run')}"]
    if values and all(isinstance(value, Mapping) and value for value in values):
        keys = sorted({key for value in values for key in value})
        return [
            text
            for key in keys
            for text in _differences((*path, key), [_at(value, (key,)) for value in values])
        ]
    texts = {"none" if value is None else str(value) for value in values}
    return [f"the runs differ in {name}: {', '.join(sorted(texts))}"] if len(texts) > 1 else []


_ABSENT = object()


def _at(content: Any, path: Sequence[str]) -> Any:
    """Return the value at `path`: None for null, `_ABSENT` if nothing is recorded."""
    for key in path:
        if not isinstance(content, Mapping) or key not in content:
            return _ABSENT
        content = content[key]
    return content


def _exit_code(undecided: Sequence[StepState | SweepState]) -> ExitCode:
    """Return the most severe exit code of the undecided runs; INCONCLUSIVE without such a run.

    Exit code 6 of a run (leftovers) counts as INVALID: the gate continued, so it has removed them.
    """
    codes = {step.exit_code for step in undecided}
    if ExitCode.GUARDRAIL in codes:
        return ExitCode.GUARDRAIL
    severe = codes - {ExitCode.PASS, ExitCode.INCONCLUSIVE}
    invalid = any(step.verdict == "invalid" for step in undecided)
    return ExitCode.INVALID if severe or invalid else ExitCode.INCONCLUSIVE
