"""The SHA-256 of a run's record: whether what was judged is still what lies there.

Covers what judging reads and what says which programs ran. Leaves out what is made from the record
(verdict and reports), and what clean-up may still write (ledger, containers.json).
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from chaos.record.rundir import RunDir


def record_sha256(run: RunDir) -> str:
    """SHA-256 (hex) over path and content of each file of the record. Raises `OSError`.

    A file that is not there is left out; of a symbolic link its text counts, and not its target.
    """
    total = hashlib.sha256()
    for path in sorted(_files(run)):
        name = str(path.relative_to(run.path))
        total.update(f"{name}\0{_content_sha256(path)}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _files(run: RunDir) -> Iterator[Path]:
    single = (run.config, run.schedule, run.provenance, run.history, run.engine_lost)
    for path in (*single, run.expected_draws, run.witness, run.wire):
        if path.is_symlink() or path.is_file():
            yield path
    for folder in (run.logs, run.artefacts):
        for parent, _, names in os.walk(folder):
            yield from (Path(parent, name) for name in names)


def _content_sha256(path: Path) -> str:
    if path.is_symlink():
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    if not path.is_file():  # a pipe or a socket has no content
        return "none"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
