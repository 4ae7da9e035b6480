"""Time stamps that the Watcher writes, beside the true moment of their writing.

The moment is the file's own time of change: the kernel keeps it, whatever the Watcher takes the
time to be. Knows the target's files, and nothing of clocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.base.files import file_tail, json_object
from chaos.stack.base import Stack

_TAIL_BYTES = 1 << 20


@dataclass(frozen=True)
class Stamp:
    """A time that the Watcher wrote, and when the file that it stands in was written (Unix s)."""

    stamp_s: float
    written_s: float

    @property
    def ahead_s(self) -> float:
        """How far the Watcher's clock is ahead, if the stamp says when it was written."""
        return self.stamp_s - self.written_s


def stamps(stack: Stack) -> dict[str, Stamp]:
    """The stamps in the Watcher's ready file, and in the last line of its decision log."""
    target = stack.target
    names = [name for name in (target.watcher.ready_file, target.decisions.path) if name]
    return {key: stamp for name in names for key, stamp in _in_file(stack.workspace / name)}


def _in_file(path: Path) -> Iterator[tuple[str, Stamp]]:
    try:
        written_s = path.stat().st_mtime
    except OSError:
        return
    text = file_tail(path, _TAIL_BYTES)
    entry = json_object(text) or json_object(text.rstrip().rpartition(b"\n")[2])
    for key, value in entry.items():
        stamp_s = _unix_s(value)
        if stamp_s is not None:
            yield f"{path.name}:{key}", Stamp(stamp_s, written_s)


def _unix_s(value: Any) -> float | None:
    """An ISO time stamp, in UTC where it names no zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
