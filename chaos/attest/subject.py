"""What is to be deployed, as `chaos verify --subject` names it: an image, a file, a folder.

Of a folder every file counts, whatever its name: one that nobody tested may be run, too.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.base.errors import UsageError

_DIGEST = re.compile(r"(?:[^@]*@)?sha256:([0-9a-f]{64})", re.ASCII)
_FILES_MAX = 20_000


@dataclass(frozen=True)
class Subject:
    """What must be attested: how the user named it, and its SHA-256 (hex)."""

    given: str
    sha256: str


def subjects_named(given: str) -> list[Subject]:
    """The subjects of one `--subject`: NAME@sha256:HEX, sha256:HEX, a file, or all of a folder.

    Raises `UsageError` if there is nothing, or something that cannot be read.
    """
    if match := _DIGEST.fullmatch(given):
        return [Subject(given, match[1])]
    place = f"--subject {given}"
    try:
        path = Path(given)
        if not path.is_dir():
            return [_of_file(path, place)]
        files = list(_files(path, place))
        found = [_of_file(one, place) for one in files]
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise UsageError(
            f"cannot read it: {getattr(error, 'strerror', None) or error}",
            place=place,
            next_step="name a file, a folder, or sha256:HEX of an image",
        ) from error
    if not found:
        raise UsageError("no file is in it", place=place, next_step="name the daemon's folder")
    return found


def _of_file(path: Path, place: str) -> Subject:
    if path.exists() and not path.is_file():  # a pipe would block
        raise UsageError(f"{path} is not a file", place=place, next_step="name the daemon's files")
    with path.open("rb") as stream:
        return Subject(str(path), hashlib.file_digest(stream, "sha256").hexdigest())


def _files(folder: Path, place: str) -> Iterator[Path]:
    count = 0
    for parent, folders, names in os.walk(folder, onerror=_raise):
        for name in folders:
            if Path(parent, name).is_symlink():  # what it leads to would not be looked at
                raise UsageError(
                    f"{Path(parent, name)} is a link to a folder",
                    place=place,
                    next_step="put the files themselves there, as they are deployed",
                )
        for name in names:
            count += 1
            if count > _FILES_MAX:
                raise UsageError(
                    f"more than {_FILES_MAX} files", place=place, next_step="name fewer"
                )
            yield Path(parent, name)


def _raise(error: OSError) -> None:
    raise error
