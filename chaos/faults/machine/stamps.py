"""Time stamps that the Watcher writes, and when it wrote them.

The time of writing is the modification time of the file, which the kernel sets by the real clock.
Knows the target's files, and no fault.
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
    """A time stamp, and the modification time of its file (both Unix s)."""

    stamp_s: float
    written_s: float

    @property
    def ahead_s(self) -> float:
        """How far the Watcher's clock is ahead, if the stamp is the time of writing."""
        return self.stamp_s - self.written_s


def stamps(stack: Stack) -> dict[str, Stamp]:
    """The time stamps in the Watcher's ready file and in the last line of its decision log."""
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
    """An ISO time stamp (UTC unless it names a zone); None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
