"""Looks at a Watcher's working directory: programs, halt flags, queue, disk, policies, history,
artefacts, decision log. Changes nothing; what is where is the target profile's business.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from chaos.checks.java_lcg import first_draws
from chaos.doctor.item import (
    Item,
    Patient,
    age_text,
    command_text,
    readable_folder,
    removal_text,
    short,
    size_text,
    why,
)
from chaos.monitor.instance import OwnFile, instance_of
from chaos.record.target import Artefact
from chaos.witness.base import Folder, select, without_companions

_ARCHIVE_MANY = 10_000
_FILE_BYTES_MAX = 256 * 1024 * 1024
_LOG_BYTES_MAX = 64 * 1024 * 1024
_DRAWS_COMPARED = 50


def look_at_place(patient: Patient) -> Item:
    """The folder is there, can be written, and has the Watcher's program in it."""
    path = patient.workspace
    if not readable_folder(path):
        return Item(
            "workspace", "workspace", "problem", f"{path} is no folder that can be read",
            "name the Watcher's working directory with --workspace DIR",
        )  # fmt: skip
    missing = [name for name in programs(patient) if not (path / name).is_file()]
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


def programs(patient: Patient) -> list[str]:
    """The Watcher's programs that its profile starts by a path in the workspace."""
    words = patient.target.watcher.start
    return [w for w in words if w.endswith((".py", ".sh")) and not w.startswith(("/", "{"))]


def look_at_watcher(patient: Patient) -> Item:
    """Whether it runs, as its own file tells."""
    found = OwnFile(instance_of(patient.target), patient.workspace)
    pid = found()
    if pid is None:
        return Item("watcher", "Watcher", "info", f"not running ({found.why})")
    return Item("watcher", "Watcher", "info", f"running, process {pid}")


def look_at_halt_flags(patient: Patient) -> list[Item]:
    """No halt flag is set. A link or an empty file is a flag, too: presence halts."""
    items = []
    names = [patient.target.halt.flag, *patient.target.prerequisites.halt_flags]
    for name in names:
        path = patient.path(name)
        if not os.path.lexists(path):
            continue
        age = age_text(time.time() - path.lstat().st_mtime)
        said = _content(path)
        items.append(
            Item(
                "halt_flag",
                "halt flag",
                "problem",
                f"{name} is set, {age}{f': {said}' if said else ''}",
                f"when it is to run again: {removal_text(path)} (never removed by --fix)",
            )
        )
    return items or [Item("halt_flag", "halt flag", "ok", f"not set ({', '.join(names)})")]


def _content(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as stream:
            return short(stream.read(4096).decode(errors="replace"))
    except OSError as error:
        return why(error)


def look_at_queue(patient: Patient) -> Item:
    """Numbers of requests; what is claimed while nobody works, or quarantined, is a warning."""
    queue = patient.target.queue
    counts: dict[str, int] = {}
    for part in ("pending", "claimed", "archived", "quarantined"):
        folder = Folder(patient.workspace, getattr(queue, part))
        try:
            folder.refresh()
        except OSError:
            continue  # made by the Watcher when it needs it
        names = folder.names()
        counts[part] = without_companions(names) if part == "quarantined" else len(names)
    if not counts:
        return Item("queue", "queue, archive", "ok", "no request so far")
    seen = ", ".join(f"{count} {part}" for part, count in counts.items())
    running = OwnFile(instance_of(patient.target), patient.workspace)() is not None
    if counts.get("claimed") and not running:
        next_step = "the Watcher was ended in the middle of a request: see what its next start does"
    elif counts.get("quarantined"):
        next_step = f"read why: {Path(queue.quarantined).parent}"
    elif counts.get("archived", 0) > _ARCHIVE_MANY:
        next_step = f"move old files out of {Path(queue.archived).parent}"
    else:
        return Item("queue", "queue, archive", "ok", seen)
    return Item("queue", "queue, archive", "warn", seen, next_step)


def look_at_disk(patient: Patient) -> Item:
    """Free space and inodes of the workspace's volume."""
    try:
        volume = os.statvfs(patient.workspace)
    except OSError as error:
        return Item("disk", "disk", "problem", why(error), "look at the mount")
    free_mb = volume.f_bavail * volume.f_frsize / 1e6
    least_mb = patient.target.prerequisites.disk_free_mb_min
    seen = f"{size_text(int(free_mb * 1e6))} free, at least {size_text(int(least_mb * 1e6))} wanted"
    if volume.f_files and not volume.f_favail:
        return Item("disk", "disk", "problem", "no inodes are free", "remove small files")
    if free_mb < least_mb:
        old = Path(patient.target.queue.archived).parent
        return Item("disk", "disk", "problem", seen, f"free some space; look at {old}/ and logs/")
    if free_mb < 2 * least_mb:
        return Item("disk", "disk", "warn", seen, "free some space before a long soak")
    return Item("disk", "disk", "ok", seen)


def look_at_policies(patient: Patient) -> Item:
    """The settings can be read, and have what test mode means."""
    policies, wanted = patient.target.policies, patient.target.prerequisites.test_mode
    path = patient.path(policies.path)
    title = "policies"
    try:
        content = load_object(path)
    except FileNotFoundError:
        return Item(
            "policies", title, "problem", f"there is no {policies.path}",
            "--fix makes it in test mode", fixable=bool(wanted),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return Item(
            "policies", title, "problem", f"{policies.path}: {_told(error)}",
            "repair it by hand: nobody else can know what it should say",
        )  # fmt: skip
    wrong = [
        f"{key} is {json.dumps(select(content, key))}, not {json.dumps(value)}"
        for key, value in wanted.items()
        if select(content, key) != value
    ]
    if wrong:
        return Item(
            "policies", title, "problem", f"not in test mode: {'; '.join(wrong)}",
            f"--fix sets it in {policies.path}", fixable=True,
        )  # fmt: skip
    said = ", ".join(f"{key} = {json.dumps(value)}" for key, value in wanted.items())
    return Item("policies", title, "ok", f"{policies.path}: {said or 'readable'}")


def look_at_history(patient: Patient) -> Item:
    """The draw history is there, has draws, and begins as the seed says."""
    draws = patient.target.draws
    path = patient.path(draws.path)
    bootstrap = patient.target.prerequisites.bootstrap
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
            "history", title, "problem", f"{draws.path}: {_told(error)}",
            "restore it, or move it away and use --fix",
        )  # fmt: skip
    found = select(content, draws.list)
    if not isinstance(found, list) or not found:
        return Item(
            "history", title, "problem", f"{draws.path} has no draws at {draws.list!r}",
            "restore it, or move it away and use --fix",
        )  # fmt: skip
    seen = f"{len(found)} draws, {_facts(path)}"
    first = [select(draw, draws.value) for draw in found[:_DRAWS_COMPARED]]
    if first == first_draws(draws.seed, draws.modulus, len(first)):
        return Item("history", title, "ok", f"{seen}, synthetic with seed {draws.seed}")
    return Item(
        "history", title, "warn", f"{seen}, not the synthetic history of seed {draws.seed}",
        "draws cannot be recomputed, so a soak cannot tell lost ones: move it away and use --fix",
    )  # fmt: skip


def missing_artefacts(patient: Patient) -> list[Artefact]:
    """Those that are absent, empty, not JSON, or not from their step."""
    artefacts = patient.target.prerequisites.artefacts
    return [one for one in artefacts if _wrong(patient, one)]


def _wrong(patient: Patient, artefact: Artefact) -> str:
    """What is wrong with an artefact; empty: nothing."""
    path = patient.path(artefact.path)
    try:
        content = load_json(path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return _told(error)
    if artefact.key and (not isinstance(content, dict) or artefact.key not in content):
        return f"has no {artefact.key!r}: step {artefact.step} has not run"
    return ""


def look_at_artefacts(patient: Patient) -> list[Item]:
    """One item for each artefact: there, readable, not older than those of earlier steps."""
    wanted = patient.target.prerequisites.artefacts
    if not wanted:
        return [Item("artefact", "artefacts", "info", "the profile names none")]
    pipeline = patient.target.prerequisites.pipeline
    items: list[Item] = []
    newest_s = 0.0
    for artefact in wanted:
        wrong = _wrong(patient, artefact)
        if wrong:
            items.append(
                Item(
                    "artefact",
                    "artefact",
                    "problem",
                    f"{artefact.path}: {wrong}",
                    f"run pipeline step {artefact.step} and those after it (or --fix)"
                    if pipeline
                    else f"run pipeline step {artefact.step}",
                    fixable=bool(pipeline),
                )
            )
            continue
        path = patient.path(artefact.path)
        made_s = path.stat().st_mtime
        seen = f"{artefact.path}: {_facts(path)}"
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


def look_at_decisions(patient: Patient) -> Item:
    """The decision log can be read; a line that cannot is a warning, with its number."""
    name = patient.target.decisions.path
    path = patient.path(name)
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
        return Item("decisions", title, "problem", f"{name}: {why(error)}", "make it readable")
    seen = f"{lines} decisions, {_facts(path)}"
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
    """A JSON file. Raises `OSError`, or `ValueError` with the reason."""
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
    """A JSON object. Raises `OSError`, or `ValueError` with the reason."""
    content = load_json(path)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def _told(error: OSError | ValueError) -> str:
    return why(error) if isinstance(error, OSError) else str(error)


def _facts(path: Path) -> str:
    status = path.stat()
    return f"{size_text(status.st_size)}, {age_text(time.time() - status.st_mtime)}"
