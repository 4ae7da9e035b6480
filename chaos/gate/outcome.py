"""What the runs of a gate amount to: PRODUCTION-READY, NEEDS FIXES or NOT PROVEN. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.exitcode import ExitCode
from chaos.gate.state import GateState, GateVerdict, StepState

# What must be the same in every run, for the verdict to be about one system.
_SAME = (
    ("chaos",),
    ("git", "revision"),
    ("assets", "model_sha256"),
    ("assets", "llama_build"),
    ("assets", "toxiproxy_version"),
)


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
    for path in _SAME:
        values = {str(value) for one in provenance if (value := _at(one, path)) is not None}
        if len(values) > 1:
            gaps.append(f"the runs differ in {' '.join(path)}: {', '.join(sorted(values))}")
    return gaps


def _at(content: Any, path: Sequence[str]) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
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
