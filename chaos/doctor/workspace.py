"""Examine a Watcher's working directory: programs, halt flags, queue, disk, policies, history,
artefacts and decision log. Changes nothing. The target profile says where each file is.
"""

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from chaos.base.files import select
from chaos.checks.generators import computed
from chaos.doctor.item import (
    Item,
    Subject,
    age_text,
    command_text,
    readable_folder,
    reason_of,
    removal_text,
    short,
    size_text,
)
from chaos.monitor.instance import OwnFile, instance_of, read_json, read_object
from chaos.record.daemon_files import entries_in, entries_of
from chaos.record.target import Artefact
from chaos.record.work import PLACES
from chaos.witness.base import Folder, without_companions

_ARCHIVE_MANY = 10_000
_FILE_BYTES_MAX = 256 * 1024 * 1024
_LOG_BYTES_MAX = 64 * 1024 * 1024
_DRAWS_COMPARED = 50


def examine_place(subject: Subject) -> Item:
    """Check that the folder exists, is writable, and contains the Watcher's programs."""
    item = partial(Item, "workspace", "workspace")
    path = subject.workspace
    hint = "name the Watcher's working directory with --workspace DIR"
    if not readable_folder(path):
        return item("problem", f"{path} is no folder that can be read", hint)
    missing = [name for name in programs(subject) if not (path / name).is_file()]
    if missing:
        return item(
            "problem", f"there is no {missing[0]} in {path}", f"{hint}, its kind with --target"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        return item(
            "problem", f"{path} cannot be written", "give yourself the right to write there"
        )
    return item("ok", str(path.resolve()))


def programs(subject: Subject) -> list[str]:
    """Relative paths of the Watcher's programs that the profile starts from the workspace."""
    argv = subject.target.watcher.start
    return [w for w in argv if w.endswith((".py", ".sh")) and not w.startswith(("/", "{"))]


def examine_watcher(subject: Subject) -> Item:
    """Report whether the Watcher runs, according to its own file. Only information."""
    own_file = OwnFile(instance_of(subject.target), subject.workspace)
    pid = own_file()
    if pid is None:
        return Item("watcher", "Watcher", "info", f"not running ({own_file.absence_reason})")
    return Item("watcher", "Watcher", "info", f"running, process {pid}")


def examine_halt_flags(subject: Subject) -> list[Item]:
    """Check that no halt flag is set. A link or an empty file counts: only presence matters."""
    item = partial(Item, "halt_flag", "halt flag")
    items = []
    names = subject.target.halt_flags
    for name in names:
        path = subject.path(name)
        if not os.path.lexists(path):
            continue
        age = age_text(time.time() - path.lstat().st_mtime)
        content = _flag_text(path)
        seen = f"{name} is set, {age}{f': {content}' if content else ''}"
        hint = f"when it is to run again: {removal_text(path)} (never removed by --fix)"
        items.append(item("problem", seen, hint))
    return items or [item("ok", f"not set ({', '.join(names) or 'the profile names none'})")]


def _flag_text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as stream:
            return short(stream.read(4096).decode(errors="replace"))
    except OSError as error:
        return reason_of(error)


def examine_queue(subject: Subject) -> Item:
    """Count the requests. Warn of those claimed while no Watcher runs, and of quarantined ones."""
    item = partial(Item, "queue", "queue, archive")
    queue = subject.target.work
    counts: dict[str, int] = {}
    globs = queue.places()
    for part in PLACES:
        if part not in globs:
            continue
        folder = Folder(subject.workspace, globs[part])
        try:
            folder.refresh()
        except OSError:
            continue  # the Watcher makes it when it needs it
        names = folder.names()
        counts[part] = len(queue.requests(part, names))
        if part == "quarantined":
            counts[part] = without_companions(names)
    if not counts:
        return item("ok", "no request so far")
    seen = ", ".join(f"{count} {part}" for part, count in counts.items())
    running = OwnFile(instance_of(subject.target), subject.workspace)() is not None
    if counts.get("claimed") and not running:
        next_step = "the Watcher was ended in the middle of a request: see what its next start does"
    elif counts.get("quarantined"):
        next_step = f"read why: {Path(queue.set_aside).parent}"
    elif counts.get("archived", 0) > _ARCHIVE_MANY:
        next_step = f"move old files out of {Path(queue.finished.files).parent}"
    else:
        return item("ok", seen)
    return item("warn", seen, next_step)


def examine_disk(subject: Subject) -> Item:
    """Check the free space and inodes of the workspace's volume."""
    item = partial(Item, "disk", "disk")
    try:
        volume = os.statvfs(subject.workspace)
    except OSError as error:
        return item("problem", reason_of(error), "look at the mount")
    free_mb = volume.f_bavail * volume.f_frsize / 1e6
    min_mb = subject.target.prerequisites.disk_free_mb_min
    seen = f"{size_text(int(free_mb * 1e6))} free, at least {size_text(int(min_mb * 1e6))} wanted"
    if volume.f_files and not volume.f_favail:
        return item("problem", "no inodes are free", "remove small files")
    if free_mb < min_mb:
        archive = Path(subject.target.work.finished.files).parent
        return item("problem", seen, f"free some space; look at {archive}/ and logs/")
    if free_mb < 2 * min_mb:
        return item("warn", seen, "free some space before a long soak")
    return item("ok", seen)


def examine_policies(subject: Subject) -> Item:
    """Check that the policies file can be read and has the settings of test mode."""
    item = partial(Item, "policies", "policies")
    policies, test_mode = subject.target.policies, subject.target.prerequisites.test_mode
    if not policies.path:
        return item("info", "the profile names none")
    path = subject.path(policies.path)
    try:
        content = read_object(path, _FILE_BYTES_MAX)
    except FileNotFoundError:
        problem = f"there is no {policies.path}"
        return item("problem", problem, "--fix makes it in test mode", fixable=bool(test_mode))
    except (OSError, ValueError) as error:
        hint = "repair it by hand: --fix does not know its content"
        return item("problem", f"{policies.path}: {_reason(error)}", hint)
    differences = [
        f"{key} is {json.dumps(select(content, key))}, not {json.dumps(value)}"
        for key, value in test_mode.items()
        if select(content, key) != value
    ]
    if differences:
        problem = f"not in test mode: {'; '.join(differences)}"
        return item("problem", problem, f"--fix sets it in {policies.path}", fixable=True)
    settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in test_mode.items())
    return item("ok", f"{policies.path}: {settings or 'readable'}")


def examine_history(subject: Subject) -> Item:
    """Check that the draw history exists, has draws, and begins with those of the seed."""
    item = partial(Item, "history", "draw history")
    draws, log = subject.target.draws, subject.target.draw_log
    source = log.source
    bootstrap = subject.target.prerequisites.bootstrap
    restore = "restore it, or move it away and use --fix"
    if source is None:
        return item("info", "the profile names none")
    path = subject.path(source.path)
    try:
        if source.document:
            stored = entries_in(read_json(path, _FILE_BYTES_MAX), source)
        else:
            stored = entries_of(subject.workspace, source)
    except FileNotFoundError:
        make = f"{command_text(bootstrap, 'python3')} (or --fix)" if bootstrap else "make it"
        return item("problem", f"there is no {source.path}", make, fixable=bool(bootstrap))
    except (OSError, ValueError) as error:
        return item("problem", f"{source.path}: {_reason(error)}", restore)
    except (LookupError, TypeError):
        stored = []
    if not stored:
        return item("problem", f"{source.path} has no draws", restore)
    seen = f"{len(stored)} draws, {_size_and_age(path)}"
    first = [select(draw, log.value) for draw in stored[:_DRAWS_COMPARED]]
    due = computed(draws, len(first)) if log.value else None
    if due is None:
        return item("ok", seen)
    if first == due:
        return item("ok", f"{seen}, synthetic with seed {draws.seed}")
    return item(
        "warn",
        f"{seen}, not the synthetic history of seed {draws.seed}",
        "draws cannot be recomputed, so a soak cannot tell lost ones: move it away and use --fix",
    )


def missing_artefacts(subject: Subject) -> list[Artefact]:
    """The artefacts that are missing, empty, not JSON, or not written by their step."""
    artefacts = subject.target.prerequisites.artefacts
    return [artefact for artefact in artefacts if _defect(subject, artefact)]


def _defect(subject: Subject, artefact: Artefact) -> str:
    """Return the defect of an artefact, or "" without one."""
    path = subject.path(artefact.path)
    try:
        content = read_json(path, _FILE_BYTES_MAX)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return _reason(error)
    if artefact.key and (not isinstance(content, dict) or artefact.key not in content):
        return f"has no {artefact.key!r}: step {artefact.step} has not run"
    return ""


def examine_artefacts(subject: Subject) -> Iterator[Item]:
    """Check that each artefact exists, is readable, and is not older than those of earlier steps.

    One item for each artefact.
    """
    item = partial(Item, "artefact", "artefact")
    prerequisites = subject.target.prerequisites
    if not prerequisites.artefacts:
        yield Item("artefact", "artefacts", "info", "the profile names none")
    fixable = bool(prerequisites.pipeline)
    newest_s = 0.0
    for artefact in prerequisites.artefacts:
        step = f"run pipeline step {artefact.step}"
        if defect := _defect(subject, artefact):
            hint = f"{step} and those after it (or --fix)" if fixable else step
            yield item("problem", f"{artefact.path}: {defect}", hint, fixable=fixable)
            continue
        path = subject.path(artefact.path)
        made_s = path.stat().st_mtime
        seen = f"{artefact.path}: {_size_and_age(path)}"
        if made_s < newest_s - 1.0:
            yield item("warn", f"{seen}, older than those of earlier steps", f"{step} again")
        else:
            yield item("ok", seen)
        newest_s = max(newest_s, made_s)


def examine_decisions(subject: Subject) -> Item:
    """Check that the decision log can be read. Warn of unreadable lines, and name the first."""
    item = partial(Item, "decisions", "decision log")
    name = subject.target.decisions.path
    if not name:
        return item("info", "the profile names none")
    path = subject.path(name)
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    lines = bad = read = 0
    first_bad, last = 0, b"\n"
    try:
        with path.open("rb") as stream:
            for line in stream:
                lines += 1
                read += len(line)
                last = line
                try:
                    decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    bad, first_bad = bad + 1, first_bad or lines
                if read > _LOG_BYTES_MAX:
                    break
    except FileNotFoundError:
        return item("ok", f"no {name} yet: nothing was decided")
    except OSError as error:
        return item("problem", f"{name}: {reason_of(error)}", "make it readable")
    seen = f"{lines} decisions, {_size_and_age(path)}"
    if read > _LOG_BYTES_MAX:
        seen += f", only the first {size_text(read)} were read"
    if not last.endswith(b"\n"):
        return item(
            "warn",
            f"{seen}, the last line is torn",
            "see that the Watcher copes with it at its start",
        )
    if bad:
        return item(
            "warn",
            f"{seen}, {bad} unreadable (first: line {first_bad})",
            f"read line {first_bad} of {name}; decisions that cannot be read cannot be judged",
        )
    return item("ok", seen)


def _reason(error: OSError | ValueError) -> str:
    return reason_of(error) if isinstance(error, OSError) else short(str(error))


def _size_and_age(path: Path) -> str:
    status = path.stat()
    return f"{size_text(status.st_size)}, {age_text(time.time() - status.st_mtime)}"
