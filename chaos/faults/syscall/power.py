"""What a power cut takes: everything that no fsync has made durable.

Computed from the record of the system-call witness, for the files of the daemon's working
directory, and then done to them while the daemon is dead:

- a file is cut back to its size at its last fsync, and to nothing if it never had one; so what was
  appended since is lost, also by a daemon that keeps its file open;
- a rename into a folder that was not synced since is undone, if the new name was free.

These are two of the states that a file system may leave (Pillai et al., "All File Systems Are Not
Created Equal", OSDI 2014). Not explored: a rename over an existing file that is undone (its old
content is gone), an unlink that is undone, writes that reach the disk out of order, a file whose
size is durable and whose content is not (writes into its middle among them), and files that
existed before and were only appended to without any fsync. Files opened with O_SYNC or O_DSYNC lose
nothing.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TRUNCATES = os.O_TRUNC | os.O_EXCL
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
Line = dict[str, Any]


@dataclass
class _File:
    """One file under whatever name. `synced`: its durable size, None if that is not known.

    Writes are not witnessed: what is beyond that size when the power fails was written since.
    """

    synced: int | None


@dataclass
class _Rename:
    path: str
    to: str
    file: _File
    free: bool  # nothing had the new name before
    durable: bool = False


@dataclass
class Lost:
    """What is to be cut (path -> bytes that stay), and which renames are to be undone, in order.

    A file that has no more than these bytes loses nothing.
    """

    cuts: dict[str, int] = field(default_factory=dict)
    undone: list[tuple[str, str]] = field(default_factory=list)  # (new name, old name)


def lost_in(lines: Iterable[Line], root: str, before: frozenset[str]) -> Lost:
    """What a power cut after these calls takes.

    `lines`: those of the witness, in order, of the daemon and its children. `root`: the working
    directory; paths below it are relative. `before`: the files that were durable at the beginning.
    """
    files: dict[str, _File] = {}
    renames: list[_Rename] = []
    for line in lines:
        if "injected" in line or line.get("crashed"):
            continue  # it was not done
        call, path = line["call"], line.get("path", "")
        if call == "open" and line.get("flags", _WRITES) & _WRITES:
            _opened(files, path, line.get("flags", os.O_TRUNC), before)
        elif call == "fsync":
            if path in files:
                files[path].synced = line.get("bytes", 0)
            folder = "" if path == root else path
            for rename in renames:
                rename.durable |= rename.to.rpartition("/")[0] == folder
        elif call in ("rename", "link"):
            _renamed(files, renames, path, line["to"], before, moved=call == "rename")
        elif call == "unlink":
            files.pop(path, None)
    lost = Lost()
    for rename in reversed(renames):
        if not rename.durable and rename.free and files.get(rename.to) is rename.file:
            files[rename.path] = files.pop(rename.to)
            lost.undone.append((rename.to, rename.path))
    lost.cuts = {
        path: file.synced
        for path, file in files.items()
        if file.synced is not None and not path.startswith("/")
    }
    return lost


def _opened(files: dict[str, _File], path: str, flags: int, before: frozenset[str]) -> None:
    if flags & os.O_DSYNC:  # O_SYNC has it, too: each write is durable
        files[path] = _File(None)
    elif flags & _TRUNCATES or (path not in files and path not in before):
        files[path] = _File(0)
    else:
        files.setdefault(path, _File(None))


def _renamed(
    files: dict[str, _File],
    renames: list[_Rename],
    path: str,
    to: str,
    before: frozenset[str],
    *,
    moved: bool,
) -> None:
    file = files.pop(path, None) if moved else files.get(path)
    file = file or _File(None)
    if moved:
        renames.append(_Rename(path, to, file, free=to not in files and to not in before))
    files[to] = file


def calls_of(record: Path, service: str) -> Iterator[Line]:
    """The lines of the processes of `service` in the witness's record; half a last line is left."""
    pids: set[int] = set()
    with record.open("rb") as stream:
        for raw in stream:
            if not raw.endswith(b"\n"):
                return
            line = json.loads(raw)
            if line["call"] in ("enter", "process"):
                if line.get("service") == service:
                    pids.add(line["pid"])
                else:
                    pids.discard(line["pid"])
            elif line.get("pid") in pids:
                yield line


def take_away(workspace: Path, lost: Lost) -> list[str]:
    """Do it to the files; returns what was done. What is no longer there is left out."""
    done = []
    for new, old in lost.undone:
        if (workspace / new).is_file() and not (workspace / old).exists():
            (workspace / old).parent.mkdir(parents=True, exist_ok=True)
            (workspace / new).rename(workspace / old)
            done.append(f"{new} is {old} again")
    for path, size in lost.cuts.items():
        file = workspace / path
        if file.is_file() and not file.is_symlink() and file.stat().st_size > size:
            os.truncate(file, size)
            done.append(f"{path} cut to {size} bytes")
    return done


def files_below(workspace: Path) -> frozenset[str]:
    """The files of the working directory, by their relative paths."""
    return frozenset(
        os.path.relpath(f"{folder}/{name}", workspace)
        for folder, _, names in os.walk(workspace)
        for name in names
    )
