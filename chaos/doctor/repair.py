"""`chaos doctor --fix`: make what is missing, with the target's own commands.

It makes the synthetic history, test mode and the pipeline's artefacts, and removes locks whose
holder is provably dead. It is idempotent: it does not change what exists. It does nothing while the
Watcher runs, and never removes a halt flag, because a person decided to set it.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from chaos.base.errors import ChaosError, UsageError
from chaos.base.shipped import IMAGES
from chaos.doctor.item import Subject, reason_of, short
from chaos.doctor.locks import remove_stale, signs_of_life
from chaos.doctor.workspace import (
    examine_history,
    examine_place,
    examine_policies,
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
    """One change that was made, or (`done` False) why it could not be made."""

    what: str
    done: bool = True


def check_commands(target: Target) -> None:
    """Raise `UsageError` if the profile's commands have an unknown placeholder."""
    place = f"target {target.target}, prerequisites"
    values = _values(Path())
    fill_words(target.prerequisites.bootstrap, values, place=f"{place}.bootstrap")
    fill_words(target.prerequisites.pipeline, {**values, **_STEPS}, place=f"{place}.pipeline")


def repair(subject: Subject) -> Iterator[Change]:
    """Repair what can be repaired, and yield each change when it is made."""
    if examine_place(subject).state == "problem":
        yield Change("nothing: this is not the Watcher's working directory", done=False)
        return
    alive = signs_of_life(subject)
    if alive:
        yield Change(f"nothing: {alive}; halt it first", done=False)
        return
    for step in (_locks, _history, _test_mode, _artefacts):
        try:
            yield from step(subject)
        except OSError as error:
            yield Change(f"{error.filename or subject.workspace}: {reason_of(error)}", done=False)
        except ChaosError as error:
            yield Change(error.message, done=False)


def _locks(subject: Subject) -> Iterator[Change]:
    for text in remove_stale(subject):
        yield Change(text)


def _history(subject: Subject) -> Iterator[Change]:
    bootstrap = subject.target.prerequisites.bootstrap
    if examine_history(subject).fixable and bootstrap:
        yield _run(subject, bootstrap, {}, "bootstrap")


def _test_mode(subject: Subject) -> Iterator[Change]:
    if not examine_policies(subject).fixable:
        return
    name, settings = subject.target.policies.path, subject.target.prerequisites.test_mode
    existed = subject.path(name).exists()
    target = replace(subject.target, policies=PolicyFile(path=name, values=settings))
    merge_policies(target, subject.workspace, _values(subject.workspace))
    text = ", ".join(f"{key} = {value!r}" for key, value in settings.items())
    yield Change(f"{'set' if existed else 'made'} {name}: {text}")


def _artefacts(subject: Subject) -> Iterator[Change]:
    """Run the pipeline from the first missing step to the last, because later steps need it."""
    pipeline = subject.target.prerequisites.pipeline
    missing = missing_artefacts(subject)
    if not missing or not pipeline:
        return
    if any(os.path.lexists(subject.path(flag)) for flag in subject.target.halt_flags):
        yield Change("no artefacts: the halt flag is set, and it is not ours to remove", done=False)
        return
    first = min(artefact.step for artefact in missing)
    last = max(artefact.step for artefact in subject.target.prerequisites.artefacts)
    yield _run(subject, pipeline, {"start_step": first, "end_step": last}, "pipeline")


def _run(
    subject: Subject, argv_template: list[str], placeholders: dict[str, int], name: str
) -> Change:
    """Run a command of the profile. The change names the files that it made or replaced."""
    place = f"target {subject.target.target}, prerequisites.{name}"
    values = {**_values(subject.workspace), **placeholders}
    argv = fill_words(argv_template, values, place=place)
    shown = " ".join(argv[1:]) or argv[0]
    limit_s = subject.target.prerequisites.limit_s
    before = _snapshot(subject.workspace)
    completed = run_command(argv, _surroundings(subject, values), limit_s)
    after = _snapshot(subject.workspace)
    files = _joined(sorted(name for name, status in after.items() if before.get(name) != status))
    if completed.exit_code != 0:
        how = f"exit code {completed.exit_code}"
        if completed.exit_code is None:
            how = f"not done within {limit_s:g} s"
        return Change(
            f"{shown} failed ({how}): {short(completed.output)}; wrote {files}", done=False
        )
    return Change(f"ran {shown} ({completed.took_s:.1f} s): wrote {files}")


def _values(workspace: Path) -> dict[str, object]:
    """The values of the profile's placeholders."""
    return {
        "python": sys.executable,
        "workspace": str(workspace.resolve()),
        "programs": str(IMAGES),
    }


def _surroundings(subject: Subject, values: dict[str, object]) -> Surroundings:
    """The environment in which the backend runs the Watcher's programs, without byte code files."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("PYTHON")}
    environment = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    place = f"target {subject.target.target}, env"
    for key, text in subject.target.env.items():
        with contextlib.suppress(UsageError):  # it needs a setting that only a run has
            environment[key] = str(fill(text, values, place=place))
    return Surroundings(subject.workspace, {**inherited, **environment})


def _snapshot(workspace: Path) -> Snapshot:
    """(inode, size, modification time) by relative path, for at most `_FILES_MAX` files."""
    snapshot: Snapshot = {}
    for folder, subfolders, names in os.walk(workspace, followlinks=False):
        subfolders[:] = [name for name in subfolders if name not in (".git", "__pycache__")]
        for name in names:
            path = Path(folder) / name
            try:
                status = path.lstat()
            except OSError:
                continue
            key = str(path.relative_to(workspace))
            snapshot[key] = (status.st_ino, status.st_size, status.st_mtime_ns)
            if len(snapshot) >= _FILES_MAX:
                return snapshot
    return snapshot


def _joined(names: list[str]) -> str:
    if not names:
        return "nothing"
    suffix = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + suffix
