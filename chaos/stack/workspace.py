"""The Watcher's working directory: install its programs, merge its policies, collect its data.

Knows the target profile, and nothing of processes or namespaces.
"""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem, UsageError, unknown_name
from chaos.base.foreign import written_out
from chaos.record.rundir import write_atomic
from chaos.record.target import Target
from chaos.sandbox.enter import hidden_by_sandbox

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PROGRAM_SUFFIXES = (".py", ".pyc", ".sh")
_COLLECT_BYTES_MAX = 2_000_000_000
_COLLECT_FILES_MAX = 100_000
_NOTED_MAX = 1000
_COPY_CHUNK_BYTES = 1 << 20


def placeholder_values(
    settings: Mapping[str, Any], *, python: str, workspace: Path, programs: Path
) -> dict[str, Any]:
    """The values of a target's placeholders: the profile's settings, and three paths."""
    paths = {"python": python, "workspace": str(workspace), "programs": str(programs)}
    return {**settings, **paths}


def placeholders(text: str) -> list[str]:
    """The names in braces; any other brace stands for itself, as in JSON."""
    return _PLACEHOLDER.findall(text)


def fill(value: Any, values: Mapping[str, Any], *, place: str) -> Any:
    """Replace each `{name}` in `value`. A text that is one placeholder gets the value's type.

    Raises `UsageError` for an unknown name.
    """
    if isinstance(value, str):
        for name in placeholders(value):
            if name not in values:
                raise unknown_name("placeholder", name, values, place=place)
        whole = _PLACEHOLDER.fullmatch(value)
        if whole:
            return values[whole[1]]
        return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), value)
    if isinstance(value, list):
        return [fill(item, values, place=place) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, values, place=place) for key, item in value.items()}
    return value


def fill_words(words: Sequence[str], values: Mapping[str, Any], *, place: str) -> list[str]:
    """Fill the placeholders of a command."""
    return [str(fill(word, values, place=place)) for word in words]


def product_environment(target: Target, values: Mapping[str, Any]) -> dict[str, str]:
    """The target's own environment variables, filled."""
    own = fill(target.env, values, place=f"target {target.target}, env")
    return {key: str(value) for key, value in own.items()}


def install(target: Target, images: Path, workspace: Path) -> set[str]:
    """Copy the Watcher's programs into `workspace`; returns the relative paths of the copies."""
    installed: set[str] = set()
    for item in target.workspace.install:
        source, to = images / item.source, workspace / item.to
        if source.is_file():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to)
            installed.add(str(to.relative_to(workspace)))
        elif source.is_dir():
            shutil.copytree(source, to, ignore=_caches, dirs_exist_ok=True)
            names = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
            installed |= {str((to / name).relative_to(workspace)) for name in names}
        else:
            raise UsageError(
                f"there is no {source} to install",
                place=f"target {target.target}, workspace.install",
                next_step=hidden_by_sandbox([str(source)])
                or "correct `source` (it is a path below images/)",
            )
    return installed


@contextmanager
def filling(target: Target, *, own_volume: bool) -> Iterator[None]:
    """Raise an `OSError` of the block, which fills the workspace, as one message.

    `UsageError` if the target's volume is too small (`own_volume`: it is not the host's disk).
    """
    try:
        yield
    except OSError as error:
        first = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror or error
        if own_volume and is_full_text(str(error)):
            raise too_small(target) from error
        raise EnvironmentProblem(
            f"the workspace cannot be made: {first}", place=f"target {target.target}, workspace"
        ) from error


def is_full_text(text: str) -> bool:
    """True if an error or an output says that the volume is full."""
    return os.strerror(errno.ENOSPC) in text


def too_small(target: Target) -> UsageError:
    """The error for a workspace that is full before the Watcher starts."""
    return UsageError(
        f"the workspace is full: raise workspace.size_mb (now {target.workspace.size_mb})",
        place=f"target {target.target}, workspace.size_mb",
        next_step="make it large enough for the programs, what prepares it, and the run's files",
    )


def is_cache(name: str) -> bool:
    """True if the file or folder is a tool's cache, not a program."""
    return name == "__pycache__" or name.endswith(".pyc") or name.startswith(".")


def _caches(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if is_cache(name)]


def merge_policies(target: Target, workspace: Path, values: Mapping[str, Any]) -> None:
    """Set the target's dotted keys in the Watcher's policies file; other keys stay."""
    policies = target.policies
    if not policies.values:
        return
    path = workspace / policies.path
    place = f"target {target.target}, policies"
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise EnvironmentProblem(f"{policies.path} is not JSON: {error}", place=place) from error
    for dotted, raw in policies.values.items():
        *parents, last = dotted.split(".")
        node = content
        for key in parents:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise EnvironmentProblem(
                    f"{dotted}: {key!r} is not an object in {policies.path}", place=place
                )
        node[last] = fill(raw, values, place=f"{place}.{dotted}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(content, indent=2) + "\n")


def collect(workspace: Path, destination: Path, installed: set[str]) -> None:
    """Copy the Watcher's data (not its programs) into `destination`.

    Copies regular files only, and follows no link. `_collected.json` beside the files lists what
    was left out, the most important first: {files, bytes, left_out: [...]}.
    """
    files = size = 0
    left_out: list[str] = []
    irregular: list[str] = []

    def unreadable(error: OSError) -> None:
        folder = os.path.relpath(str(error.filename), workspace)
        left_out.append(f"{folder}/ and what is in it: {error.strerror}")

    for relative in _data_files(workspace, installed, unreadable):
        if files >= _COLLECT_FILES_MAX or size >= _COLLECT_BYTES_MAX:
            left_out.append(f"{relative} and what follows: the limit is reached")
            break
        try:
            copied = _copy_regular(
                workspace / relative, destination / relative, _COLLECT_BYTES_MAX - size
            )
        except OSError as error:  # it vanished or is unreadable: go on with the other files
            left_out.append(f"{relative}: {error.strerror}")
            continue
        if copied is None:
            irregular.append(f"{relative}: not a regular file")
            continue
        files, size = files + 1, size + copied
        if size >= _COLLECT_BYTES_MAX:
            left_out.append(f"{relative}: cut, the limit is reached")
    texts = [written_out(text) for text in (left_out + irregular)[:_NOTED_MAX]]
    note = {"files": files, "bytes": size, "left_out": texts}
    write_atomic(destination / "_collected.json", json.dumps(note, indent=2) + "\n")


def _data_files(
    workspace: Path, installed: set[str], unreadable: Callable[[OSError], None]
) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(workspace, onerror=unreadable, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if name != "__pycache__")
        for name in sorted(names):
            relative = (Path(folder) / name).relative_to(workspace)
            program = str(relative) in installed and relative.suffix in _PROGRAM_SUFFIXES
            if not program:
                yield relative


def _copy_regular(source: Path, target: Path, bytes_max: int) -> int | None:
    """Copy at most `bytes_max`; bytes copied, or None if it is not a regular file."""
    # Without O_NONBLOCK opening a FIFO would wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if source.is_symlink():
        return None
    descriptor = os.open(source, flags)
    with os.fdopen(descriptor, "rb") as stream:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        target.parent.mkdir(parents=True, exist_ok=True)
        copied = 0
        # Copy at most the size at the start: a growing file must not delay the collection.
        limit = min(bytes_max, before.st_size)
        with target.open("wb") as out:
            while copied < limit:
                chunk = stream.read(min(_COPY_CHUNK_BYTES, limit - copied))
                if not chunk:
                    break
                copied += out.write(chunk)
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    return copied
