"""watcher_fd_limit: the Watcher has no file descriptor left (EMFILE).

Its soft limit of descriptors is lowered to what it holds, plus `spare`: with none to spare every
file and every connection that it would open is refused. Proven by the kernel's own list of its
limits and by the Watcher itself, whose log says that it ran out after the limit was set. A
Watcher that keeps that to itself proves nothing. Source: setrlimit(2), RLIMIT_NOFILE.
"""

import errno
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity, descriptors
from chaos.faults.base import Evidence
from chaos.faults.machine.lowered import LoweredLimit, probe_watcher, watcher_of
from chaos.faults.params import FaultParams, Value, number
from chaos.faults.process.progress import look_at
from chaos.record.recovery_paths import STALL
from chaos.stack.base import Stack

_LOOKS, _LOOK_PAUSE_S = 10, 0.01
_LOG_BYTES_MAX = 1 << 20
_COMPLAINTS = tuple(
    text.encode() for text in (os.strerror(errno.EMFILE), "EMFILE", f"Errno {errno.EMFILE}")
)


class WatcherFdLimit(LoweredLimit):
    name = "watcher_fd_limit"
    summary = "the Watcher has no file descriptor left: it can open nothing"
    affects_llm = True  # a connection is a descriptor
    triage_path = STALL
    resource = resource.RLIMIT_NOFILE
    row = "Max open files"

    class Params(FaultParams):
        spare: Annotated[
            int,
            number(
                "descriptors that it may still open; with more than 0 it runs out only at work",
                0,
                1000,
            ),
        ] = 0

    params: Params

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._logs: dict[Path, int] = {}

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        record = super().undo_record(stack)
        self._logs = {path: _size(path) for path in _log_paths(stack)}
        watcher = watcher_of(stack)
        return {**record, "open_before": len(_held(watcher)) if watcher is not None else 0}

    def low(self, stack: Stack, watcher: Identity) -> int:
        """A limit below which just `spare` numbers are free.

        A new descriptor gets the lowest free number, and the limit is one upon that number.
        """
        held, limit, free = _held(watcher), 0, 0
        while True:
            if limit not in held:
                if free == self.params.spare:
                    return limit
                free += 1
            limit += 1

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(watcher: Identity, measured: dict[str, Any]) -> bool:
            if not self.in_force(watcher, measured):
                return False
            measured["open"] = len(_held(watcher))
            complaint = self._complaint(stack)
            if complaint:
                measured["watcher_says"] = complaint
                measured["path_taken"] = f"it can open nothing and waits: {complaint}"
            return bool(complaint)

        return probe_watcher(stack, look, deadline, {"spare": self.params.spare})

    def _complaint(self, stack: Stack) -> str:
        """The first new line in its logs about descriptors; empty when there is none."""
        for path in _log_paths(stack):
            known, size = self._logs.get(path, 0), _size(path)
            start = 0 if size < known else known  # rotated: all of it is new
            for line in _lines(path, start):
                if any(complaint in line for complaint in _COMPLAINTS):
                    return line.decode(errors="replace").strip()[:200]
        return ""

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        before = look_at(stack, "watcher")
        output = stack.service("watcher").log.name  # has been open all the time

        def look(watcher: Identity, measured: dict[str, Any]) -> bool:
            if self.in_force(watcher, measured):
                return False
            written = [n for n in before.changed(look_at(stack, "watcher")) if n != output]
            measured["written"] = written
            return bool(written)

        return probe_watcher(stack, look, deadline)


def _held(watcher: Identity) -> set[int]:
    """Those that it keeps open: in every one of several looks, so nothing that comes and goes."""
    held = descriptors(watcher.pid)
    for _ in range(_LOOKS):
        time.sleep(_LOOK_PAUSE_S)  # between looks, a few in all: nothing is waited for
        held &= descriptors(watcher.pid)
    return held


def _log_paths(stack: Stack) -> list[Path]:
    """The Watcher's output, and its own log files."""
    own = (path for glob in stack.target.paths.logs for path in stack.workspace.glob(glob))
    return [stack.service("watcher").log, *sorted(own)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lines(path: Path, start: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            text = stream.read(_LOG_BYTES_MAX)
    except OSError:
        return
    yield from text.splitlines()
