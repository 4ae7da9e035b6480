"""What an attestation may rest on: a finished gate whose runs are still what was judged.

Reads only. Must not know the form of an attestation.
"""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaos.base.errors import EnvironmentProblem, UsageError, os_errors_told
from chaos.checks.verdict import Verdict
from chaos.gate.outcome import gate_verdict
from chaos.gate.state import GateDir, GateState, GateVerdict, StepState, SweepState
from chaos.gate.steps import config_digest
from chaos.gate.sweep_run import provenance_of, sha256, sweep_of
from chaos.record.record_hash import record_sha256
from chaos.record.rundir import RunDir
from chaos.report.stored import Stored, load


@dataclass(frozen=True)
class JudgedRun:
    """One finished run of a gate, which is what was judged."""

    step: StepState
    stored: Stored
    config: Mapping[str, Any]
    schedule: Mapping[str, Any]

    @property
    def verdict(self) -> Verdict:
        """The run's own verdict."""
        return self.stored.verdict

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Its provenance.json: versions, digests of programs and images, revision."""
        return self.stored.provenance


@dataclass(frozen=True)
class Evidence:
    """A finished gate. `sweep`: its crash sweep, also one that was left out; None without any."""

    folder: GateDir
    state: GateState
    verdict: GateVerdict
    runs: tuple[JudgedRun, ...]
    sweep: SweepState | None


def read_evidence(folder: GateDir) -> Evidence:
    """Read a gate, and compare its runs with what `gate.json` recorded of them.

    Raises `UsageError` if the gate is not finished or of another version, `EnvironmentProblem` if
    something was changed since it was judged.
    """
    state = folder.read()
    verdict = state.verdict
    done = [step for step in state.steps if step.state == "done"]
    if verdict is None or state.state not in ("complete", "stopped"):
        raise UsageError(
            f"the gate is not finished: {len(done)} of {len(state.steps)} runs are done",
            place=str(folder.state),
            next_step=f"chaos gate --resume {shlex.quote(str(folder.path))}",
        )
    if not state.file_sha256 or any(step.record_sha256 is None for step in done):
        raise UsageError(
            "the gate recorded no hashes of its runs",
            place=str(folder.state),
            next_step="run the gate again with this version of chaos",
        )
    runs = tuple(_judged_run(folder, step) for step in done)
    provenance = [*(run.provenance for run in runs), *_provenance_of_sweep(folder, state)]
    again = gate_verdict(state, state.required, provenance)
    if again != verdict:
        raise _changed(folder, str(folder.state), f"its runs say {again.verdict}: {again.reason}")
    return Evidence(folder, state, verdict, runs, state.sweep)


def _provenance_of_sweep(folder: GateDir, state: GateState) -> list[dict[str, Any]]:
    """What ran in the breaks of the crash sweep, which must be what the gate counted."""
    swept, entry = sweep_of(folder, state), state.sweep
    if swept is None or entry is None:
        return []
    place, sweep = swept
    if entry.state == "done" and sha256(place.state) != entry.state_sha256:
        raise _changed(folder, str(place.state), f"the {entry.name} was changed")
    return provenance_of(place, sweep)


def _judged_run(folder: GateDir, step: StepState) -> JudgedRun:
    run = folder.run(step)
    if run is None:
        raise _changed(folder, str(folder.state), f"{step.name} is done and has no run")
    _check_hashes(folder, step, run)
    one = JudgedRun(step, load(run), run.read_json(run.config), run.read_json(run.schedule))
    for what, found, recorded in (
        ("verdict", one.verdict.verdict, step.verdict),
        ("plan", config_digest(dict(one.config)), step.digest),
        ("schedule", one.schedule.get("hash"), step.schedule_hash),
    ):
        if found != recorded:
            raise _changed(folder, str(run.path), f"its {what} is not that of {step.name}")
    return one


def _check_hashes(folder: GateDir, step: StepState, run: RunDir) -> None:
    with os_errors_told(
        f"the run of {step.name} cannot be read",
        run.path,
        next_step="restore the run; without its record nothing can be attested",
    ):
        verdict = hashlib.sha256(run.verdict.read_bytes()).hexdigest()
        record = record_sha256(run)
    if verdict != step.verdict_sha256:
        raise _changed(folder, str(run.verdict), f"not the verdict of {step.name} any more")
    if record != step.record_sha256:
        raise _changed(folder, str(run.path), f"the record of {step.name} was changed")


def _changed(folder: GateDir, place: str, what: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"not what the gate judged: {what}",
        place=place,
        next_step="restore it, or let the gate judge what is there, with a note of that: "
        f"chaos gate --resume {shlex.quote(str(folder.path))}",
    )
