"""`chaos doctor --fix`: makes what is missing, with the target's own commands, and says so.

The synthetic history, test mode, the pipeline's artefacts; and locks whose holder is provably
dead. What is there already is left as it is, so a second time changes nothing. Nothing is done
while the Watcher runs, and a halt flag is never removed: it is somebody's decision.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from chaos.base.errors import ChaosError, UsageError
from chaos.base.shipped import IMAGES
from chaos.doctor.item import Patient, short, why
from chaos.doctor.locks import remove_stale, signs_of_life
from chaos.doctor.workspace import (
    look_at_history,
    look_at_place,
    look_at_policies,
    missing_artefacts,
)
from chaos.record.target import PolicyFile, Target
from chaos.stack.process import Surroundings, run_command
from chaos.stack.workspace import fill, fill_words, merge_policies

_FILES_MAX = 200_000
_NAMED_MAX = 12
_STEPS = {"start_step": 1, "end_step": 1}

Snapshot = dict[str, tuple[int, int, int]]


@dataclass(frozen=True)
class Change:
    """One change that was made, or (`done` false) why it could not be."""

    what: str
    done: bool = True


def check_commands(target: Target) -> None:
    """Raises `UsageError` for a placeholder of the profile that nobody can fill."""
    place = f"target {target.target}, prerequisites"
    values = _values(Path())
    fill_words(target.prerequisites.bootstrap, values, place=f"{place}.bootstrap")
    fill_words(target.prerequisites.pipeline, {**values, **_STEPS}, place=f"{place}.pipeline")


def repair(patient: Patient) -> Iterator[Change]:
    """Put right what can be; yields each change when it is made."""
    if look_at_place(patient).state == "problem":
        yield Change("nothing: this is not the Watcher's working directory", done=False)
        return
    alive = signs_of_life(patient)
    if alive:
        yield Change(f"nothing: {alive}; halt it first", done=False)
        return
    for step in (_locks, _history, _test_mode, _artefacts):
        try:
            yield from step(patient)
        except OSError as error:
            yield Change(f"{error.filename or patient.workspace}: {why(error)}", done=False)
        except ChaosError as error:
            yield Change(error.message, done=False)


def _locks(patient: Patient) -> Iterator[Change]:
    for text in remove_stale(patient):
        yield Change(text)


def _history(patient: Patient) -> Iterator[Change]:
    words = patient.target.prerequisites.bootstrap
    if look_at_history(patient).fixable and words:
        yield _run(patient, words, {}, "bootstrap")


def _test_mode(patient: Patient) -> Iterator[Change]:
    if not look_at_policies(patient).fixable:
        return
    name, wanted = patient.target.policies.path, patient.target.prerequisites.test_mode
    before = patient.path(name).exists()
    target = replace(patient.target, policies=PolicyFile(path=name, values=wanted))
    merge_policies(target, patient.workspace, _values(patient.workspace))
    said = ", ".join(f"{key} = {value!r}" for key, value in wanted.items())
    yield Change(f"{'set' if before else 'made'} {name}: {said}")


def _artefacts(patient: Patient) -> Iterator[Change]:
    """From the first step that is missing to the last: later ones build on it."""
    words = patient.target.prerequisites.pipeline
    missing = missing_artefacts(patient)
    if not missing or not words:
        return
    if os.path.lexists(patient.path(patient.target.halt.flag)):
        yield Change("no artefacts: the halt flag is set, and it is not ours to remove", done=False)
        return
    first = min(artefact.step for artefact in missing)
    last = max(artefact.step for artefact in patient.target.prerequisites.artefacts)
    yield _run(patient, words, {"start_step": first, "end_step": last}, "pipeline")


def _run(patient: Patient, words: list[str], more: dict[str, int], name: str) -> Change:
    """Run a command of the profile; its change is the files that it made or replaced."""
    place = f"target {patient.target.target}, prerequisites.{name}"
    values = {**_values(patient.workspace), **more}
    argv = fill_words(words, values, place=place)
    shown = " ".join(argv[1:]) or argv[0]
    limit_s = patient.target.prerequisites.limit_s
    before = _snapshot(patient.workspace)
    done = run_command(argv, _surroundings(patient, values), limit_s)
    files = _named(_changed(before, _snapshot(patient.workspace)))
    if done.exit_code != 0:
        how = f"exit code {done.exit_code}"
        if done.exit_code is None:
            how = f"not done within {limit_s:g} s"
        return Change(f"{shown} failed ({how}): {short(done.output)}; wrote {files}", done=False)
    return Change(f"ran {shown} ({done.took_s:.1f} s): wrote {files}")


def _values(workspace: Path) -> dict[str, object]:
    """What the placeholders of the profile mean here."""
    return {
        "python": sys.executable,
        "workspace": str(workspace.resolve()),
        "programs": str(IMAGES),
    }


def _surroundings(patient: Patient, values: dict[str, object]) -> Surroundings:
    """As the backend runs the Watcher's programs, and without compiled files left beside them."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    own = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    place = f"target {patient.target.target}, env"
    for key, text in patient.target.env.items():
        with contextlib.suppress(UsageError):  # a setting of a run: there is none here
            own[key] = str(fill(text, values, place=place))
    return Surroundings(patient.workspace, {**inherited, **own})


def _snapshot(workspace: Path) -> Snapshot:
    """Identity, size and time of every file; bounded."""
    found: Snapshot = {}
    for folder, subfolders, names in os.walk(workspace, followlinks=False):
        subfolders[:] = [name for name in subfolders if name not in (".git", "__pycache__")]
        for name in names:
            path = Path(folder) / name
            try:
                status = path.lstat()
            except OSError:
                continue
            key = str(path.relative_to(workspace))
            found[key] = (status.st_ino, status.st_size, status.st_mtime_ns)
            if len(found) >= _FILES_MAX:
                return found
    return found


def _changed(before: Snapshot, after: Snapshot) -> list[str]:
    return sorted(name for name, status in after.items() if before.get(name) != status)


def _named(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more
