"""Examine a Watcher's working directory: programs, halt flags, queue, disk, policies, history,
artefacts and decision log. Changes nothing. The target profile says where each file is.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from chaos.checks.java_lcg import first_draws
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
from chaos.monitor.instance import OwnFile, instance_of
from chaos.record.target import Artefact
from chaos.witness.base import Folder, select, without_companions

_ARCHIVE_MANY = 10_000
_FILE_BYTES_MAX = 256 * 1024 * 1024
_LOG_BYTES_MAX = 64 * 1024 * 1024
_DRAWS_COMPARED = 50


def examine_place(subject: Subject) -> Item:
    """Check that the folder exists, is writable, and contains the Watcher's programs."""
    path = subject.workspace
    if not readable_folder(path):
        return Item(
            "workspace", "workspace", "problem", f"{path} is no folder that can be read",
            "name the Watcher's working directory with --workspace DIR",
        )  # fmt: skip
    missing = [name for name in programs(subject) if not (path / name).is_file()]
    if missing:
        return Item(
            "workspace", "workspace", "problem", f"there is no {missing[0]} in {path}",
            "name the Watcher's working directory with --workspace DIR, its kind with --target",
        )  # fmt: skip
    if not os.access(path, os.W_OK | os.X_OK):
        return Item(
            "workspace", "workspace", "problem", f"{path} cannot be written",
            "give yourself the right to write there",
        )  # fmt: skip
    return Item("workspace", "workspace", "ok", str(path.resolve()))


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
    items = []
    names = [subject.target.halt.flag, *subject.target.prerequisites.halt_flags]
    for name in names:
        path = subject.path(name)
        if not os.path.lexists(path):
            continue
        age = age_text(time.time() - path.lstat().st_mtime)
        content = _flag_text(path)
        items.append(
            Item(
                "halt_flag",
                "halt flag",
                "problem",
                f"{name} is set, {age}{f': {content}' if content else ''}",
                f"when it is to run again: {removal_text(path)} (never removed by --fix)",
            )
        )
    return items or [Item("halt_flag", "halt flag", "ok", f"not set ({', '.join(names)})")]


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
    queue = subject.target.queue
    counts: dict[str, int] = {}
    for part in ("pending", "claimed", "archived", "quarantined"):
        folder = Folder(subject.workspace, getattr(queue, part))
        try:
            folder.refresh()
        except OSError:
            continue  # the Watcher makes it when it needs it
        names = folder.names()
        counts[part] = without_companions(names) if part == "quarantined" else len(names)
    if not counts:
        return Item("queue", "queue, archive", "ok", "no request so far")
    seen = ", ".join(f"{count} {part}" for part, count in counts.items())
    running = OwnFile(instance_of(subject.target), subject.workspace)() is not None
    if counts.get("claimed") and not running:
        next_step = "the Watcher was ended in the middle of a request: see what its next start does"
    elif counts.get("quarantined"):
        next_step = f"read why: {Path(queue.quarantined).parent}"
    elif counts.get("archived", 0) > _ARCHIVE_MANY:
        next_step = f"move old files out of {Path(queue.archived).parent}"
    else:
        return Item("queue", "queue, archive", "ok", seen)
    return Item("queue", "queue, archive", "warn", seen, next_step)


def examine_disk(subject: Subject) -> Item:
    """Check the free space and inodes of the workspace's volume."""
    try:
        volume = os.statvfs(subject.workspace)
    except OSError as error:
        return Item("disk", "disk", "problem", reason_of(error), "look at the mount")
    free_mb = volume.f_bavail * volume.f_frsize / 1e6
    min_mb = subject.target.prerequisites.disk_free_mb_min
    seen = f"{size_text(int(free_mb * 1e6))} free, at least {size_text(int(min_mb * 1e6))} wanted"
    if volume.f_files and not volume.f_favail:
        return Item("disk", "disk", "problem", "no inodes are free", "remove small files")
    if free_mb < min_mb:
        archive = Path(subject.target.queue.archived).parent
        return Item(
            "disk", "disk", "problem", seen, f"free some space; look at {archive}/ and logs/"
        )
    if free_mb < 2 * min_mb:
        return Item("disk", "disk", "warn", seen, "free some space before a long soak")
    return Item("disk", "disk", "ok", seen)


def examine_policies(subject: Subject) -> Item:
    """Check that the policies file can be read and has the settings of test mode."""
    policies, test_mode = subject.target.policies, subject.target.prerequisites.test_mode
    path = subject.path(policies.path)
    title = "policies"
    try:
        content = load_object(path)
    except FileNotFoundError:
        return Item(
            "policies", title, "problem", f"there is no {policies.path}",
            "--fix makes it in test mode", fixable=bool(test_mode),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return Item(
            "policies", title, "problem", f"{policies.path}: {_reason(error)}",
            "repair it by hand: --fix does not know its content",
        )  # fmt: skip
    differences = [
        f"{key} is {json.dumps(select(content, key))}, not {json.dumps(value)}"
        for key, value in test_mode.items()
        if select(content, key) != value
    ]
    if differences:
        return Item(
            "policies", title, "problem", f"not in test mode: {'; '.join(differences)}",
            f"--fix sets it in {policies.path}", fixable=True,
        )  # fmt: skip
    settings = ", ".join(f"{key} = {json.dumps(value)}" for key, value in test_mode.items())
    return Item("policies", title, "ok", f"{policies.path}: {settings or 'readable'}")


def examine_history(subject: Subject) -> Item:
    """Check that the draw history exists, has draws, and begins with those of the seed."""
    draws = subject.target.draws
    path = subject.path(draws.path)
    bootstrap = subject.target.prerequisites.bootstrap
    title = "draw history"
    try:
        content = load_object(path)
    except FileNotFoundError:
        return Item(
            "history", title, "problem", f"there is no {draws.path}",
            f"{command_text(bootstrap, 'python3')} (or --fix)" if bootstrap else "make it",
            fixable=bool(bootstrap),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return Item(
            "history", title, "problem", f"{draws.path}: {_reason(error)}",
            "restore it, or move it away and use --fix",
        )  # fmt: skip
    stored = select(content, draws.list)
    if not isinstance(stored, list) or not stored:
        return Item(
            "history", title, "problem", f"{draws.path} has no draws at {draws.list!r}",
            "restore it, or move it away and use --fix",
        )  # fmt: skip
    seen = f"{len(stored)} draws, {_size_and_age(path)}"
    first = [select(draw, draws.value) for draw in stored[:_DRAWS_COMPARED]]
    if first == first_draws(draws.seed, draws.modulus, len(first)):
        return Item("history", title, "ok", f"{seen}, synthetic with seed {draws.seed}")
    return Item(
        "history", title, "warn", f"{seen}, not the synthetic history of seed {draws.seed}",
        "draws cannot be recomputed, so a soak cannot tell lost ones: move it away and use --fix",
    )  # fmt: skip


def missing_artefacts(subject: Subject) -> list[Artefact]:
    """The artefacts that are missing, empty, not JSON, or not written by their step."""
    artefacts = subject.target.prerequisites.artefacts
    return [artefact for artefact in artefacts if _defect(subject, artefact)]


def _defect(subject: Subject, artefact: Artefact) -> str:
    """Return the defect of an artefact, or "" without one."""
    path = subject.path(artefact.path)
    try:
        content = load_json(path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return _reason(error)
    if artefact.key and (not isinstance(content, dict) or artefact.key not in content):
        return f"has no {artefact.key!r}: step {artefact.step} has not run"
    return ""


def examine_artefacts(subject: Subject) -> list[Item]:
    """Check that each artefact exists, is readable, and is not older than those of earlier steps.

    One item for each artefact.
    """
    artefacts = subject.target.prerequisites.artefacts
    if not artefacts:
        return [Item("artefact", "artefacts", "info", "the profile names none")]
    pipeline = subject.target.prerequisites.pipeline
    items: list[Item] = []
    newest_s = 0.0
    for artefact in artefacts:
        defect = _defect(subject, artefact)
        if defect:
            items.append(
                Item(
                    "artefact",
                    "artefact",
                    "problem",
                    f"{artefact.path}: {defect}",
                    f"run pipeline step {artefact.step} and those after it (or --fix)"
                    if pipeline
                    else f"run pipeline step {artefact.step}",
                    fixable=bool(pipeline),
                )
            )
            continue
        path = subject.path(artefact.path)
        made_s = path.stat().st_mtime
        seen = f"{artefact.path}: {_size_and_age(path)}"
        if made_s < newest_s - 1.0:
            items.append(
                Item(
                    "artefact",
                    "artefact",
                    "warn",
                    f"{seen}, older than those of earlier steps",
                    f"run pipeline step {artefact.step} again",
                )
            )
        else:
            items.append(Item("artefact", "artefact", "ok", seen))
        newest_s = max(newest_s, made_s)
    return items


def examine_decisions(subject: Subject) -> Item:
    """Check that the decision log can be read. Warn of unreadable lines, and name the first."""
    name = subject.target.decisions.path
    path = subject.path(name)
    title = "decision log"
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
        return Item("decisions", title, "ok", f"no {name} yet: nothing was decided")
    except OSError as error:
        return Item(
            "decisions", title, "problem", f"{name}: {reason_of(error)}", "make it readable"
        )
    seen = f"{lines} decisions, {_size_and_age(path)}"
    if read > _LOG_BYTES_MAX:
        seen += f", only the first {size_text(read)} were read"
    if not last.endswith(b"\n"):
        return Item(
            "decisions", title, "warn", f"{seen}, the last line is torn",
            "see that the Watcher copes with it at its start",
        )  # fmt: skip
    if bad:
        return Item(
            "decisions", title, "warn", f"{seen}, {bad} unreadable (first: line {first_bad})",
            f"read line {first_bad} of {name}; decisions that cannot be read cannot be judged",
        )  # fmt: skip
    return Item("decisions", title, "ok", seen)


def load_json(path: Path) -> Any:
    """Read a JSON file. Raises `OSError`, or `ValueError` with the reason."""
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    with path.open("rb") as stream:
        raw = stream.read(_FILE_BYTES_MAX + 1)
    if not raw.strip():
        raise ValueError("empty")
    if len(raw) > _FILE_BYTES_MAX:
        raise ValueError(f"larger than {size_text(_FILE_BYTES_MAX)}")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {short(str(error))}") from error


def load_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises `OSError`, or `ValueError` with the reason."""
    content = load_json(path)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def _reason(error: OSError | ValueError) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)


def _size_and_age(path: Path) -> str:
    status = path.stat()
    return f"{size_text(status.st_size)}, {age_text(time.time() - status.st_mtime)}"
