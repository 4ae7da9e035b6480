"""What the Watcher's decision log says of requests, while the stack runs. Reads its end only."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.base.files import file_tail, json_object
from chaos.record.target import DecisionLog

_TAIL_BYTES = 4 << 20


@dataclass(frozen=True)
class Decided:
    """One line of the log that says that a request had its effect."""

    id: str
    request: str  # file name
    status: str
    completed: bool


def tail_of(path: Path) -> bytes:
    """The end of a file, up to 4 MiB; empty when there is none."""
    return file_tail(path, _TAIL_BYTES)


def dispatched(workspace: Path, log: DecisionLog, names: Iterable[str]) -> list[Decided]:
    """The decisions on these request files that dispatched something, in order.

    Lines that are no decisions are left out: judging them is not the business here.
    """
    wanted = set(names)
    kinds = {*log.dispatch_selfplay, *log.dispatch_learning}
    found = []
    for line in tail_of(workspace / log.path).splitlines():
        entry = json_object(line)
        if entry.get(log.dispatch) not in kinds:
            continue
        request = str(entry.get(log.request)).rpartition("/")[2]
        if request in wanted:
            status = str(entry.get(log.status))
            completed = status in log.completed
            found.append(Decided(str(entry.get(log.id)), request, status, completed))
    return found
