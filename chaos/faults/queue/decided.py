"""Decisions on requests, from the end of the Watcher's decision log while the stack runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.base.files import file_tail, json_object
from chaos.record.target import DecisionLog

_TAIL_BYTES = 4 << 20


@dataclass(frozen=True)
class Decided:
    """One line of the log that says that a request was dispatched."""

    id: str
    request: str  # file name
    status: str


def tail_of(path: Path) -> bytes:
    """The last 4 MiB of a file; empty if it cannot be read."""
    return file_tail(path, _TAIL_BYTES)


def dispatched(workspace: Path, log: DecisionLog, names: Iterable[str]) -> list[Decided]:
    """The decisions that dispatched these request files, in order. Ignores damaged lines."""
    wanted = set(names)
    kinds = {*log.dispatch_selfplay, *log.dispatch_learning}
    decided = []
    for line in tail_of(workspace / log.path).splitlines():
        entry = json_object(line)
        if entry.get(log.dispatch) not in kinds:
            continue
        request = str(entry.get(log.request)).rpartition("/")[2]
        if request in wanted:
            decided.append(Decided(str(entry.get(log.id)), request, str(entry.get(log.status))))
    return decided
