"""What the runs of a gate amount to: PRODUCTION-READY, NEEDS FIXES or NOT PROVEN. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import plural
from chaos.gate.state import GateState, GateVerdict, StepState

# What must be recorded, and the same, in every run, for the verdict to be about one system.
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
# Null is a statement here: outside a checkout there is no revision.
_MAY_BE_NULL = (("git", "revision"), ("git", "dirty"))


def judged(
    state: GateState, required: Sequence[str], provenance: Sequence[Mapping[str, Any]]
) -> GateVerdict:
    """The verdict over the finished runs. `required`: the soaks that a whole gate has;
    `provenance`: of each finished run.

    A failure of the product decides, whatever else is open. Ready is said only of all soaks, each
    clean and under a fault, with one system.
    """
    done = [item for item in state.steps if item.state == "done"]
    left_out = [item.name for item in state.steps if item.state != "done"]
    notes = [f"not run: {', '.join(left_out)}"] if left_out else []
    notes += [f"{item.name}: {note}" for item in done for note in item.notes]
    notes += [f"{item.name} had left {what}, removed" for item in done for what in item.left]
    failed = [item for item in done if item.verdict == "fail"]
    if failed:
        return GateVerdict(
            verdict="NEEDS FIXES",
            exit_code=ExitCode.FAIL,
            reason=f"failed: {', '.join(item.name for item in failed)}",
            notes=notes,
        )
    open_ = [item for item in done if item.verdict != "pass" or item.exit_code != 0]
    gaps = _gaps(state, required, provenance)
    if open_ or left_out or gaps:
        reasons = [f"{item.name} is {item.verdict} (exit {item.exit_code})" for item in open_]
        reasons += [f"not run: {', '.join(left_out)}"] if left_out else []
        return GateVerdict(
            verdict="NOT PROVEN",
            exit_code=_open_code(open_),
            reason="; ".join([*reasons, *gaps]),
            notes=notes,
        )
    return GateVerdict(
        verdict="PRODUCTION-READY",
        exit_code=ExitCode.PASS,
        reason=f"all {len(done)} runs pass at the scale {state.request.profile!r}",
        notes=notes,
    )


def _gaps(
    state: GateState, required: Sequence[str], provenance: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Why even passes everywhere would not be enough."""
    gaps = []
    if missing := [soak for soak in required if soak not in state.request.soaks]:
        gaps.append(f"left out: {', '.join(missing)}")
    if all(item.control for item in state.steps):
        gaps.append("no fault was tried")
    for path in (*_SAME, _WATCHER[state.request.backend]):
        gaps += _unlike(path, [_at(one, path) for one in provenance])
    return gaps


def _unlike(path: tuple[str, ...], values: Sequence[Any]) -> list[str]:
    """What is not recorded, or not the same, in the runs; of an object, each key by itself."""
    name = " ".join(path)
    unknown = [value is _ABSENT or (value is None and path not in _MAY_BE_NULL) for value in values]
    if count := sum(unknown):
        return [f"{name} is not recorded in {count} of {plural(len(values), 'run')}"]
    if values and all(isinstance(value, Mapping) and value for value in values):
        keys = sorted({key for value in values for key in value})
        return [
            gap for key in keys for gap in _unlike((*path, key), [_at(v, (key,)) for v in values])
        ]
    texts = {"none" if value is None else str(value) for value in values}
    return [f"the runs differ in {name}: {', '.join(sorted(texts))}"] if len(texts) > 1 else []


_ABSENT = object()


def _at(content: Any, path: Sequence[str]) -> Any:
    """The value at `path`, None where it is null, `_ABSENT` where nothing was recorded."""
    for key in path:
        if not isinstance(content, Mapping) or key not in content:
            return _ABSENT
        content = content[key]
    return content


def _open_code(items: Sequence[StepState]) -> ExitCode:
    """The gravest of the runs that are open; inconclusive if only the gate itself is.

    A run that left something behind (6) is invalid here: it has been removed by now, or the gate
    would not have gone on.
    """
    codes = {item.exit_code for item in items}
    if ExitCode.GUARDRAIL in codes:
        return ExitCode.GUARDRAIL
    graver = codes - {ExitCode.PASS, ExitCode.INCONCLUSIVE}
    invalid = any(item.verdict == "invalid" for item in items)
    return ExitCode.INVALID if graver or invalid else ExitCode.INCONCLUSIVE
