"""watcher_fd_limit: the Watcher has no file descriptor left (EMFILE).

Its soft limit of descriptors is lowered to what it holds, plus `spare`: without spare ones it can
open neither a file nor a connection. Proven by /proc/PID/limits and by the Watcher's log, which
must say after the injection that it ran out. A Watcher that does not log it proves nothing.
Source: setrlimit(2), RLIMIT_NOFILE.
"""

import errno
import itertools
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.files import file_from
from chaos.base.proc import Identity, descriptors
from chaos.faults.base import Evidence
from chaos.faults.machine.lowered import LoweredLimit, probe_watcher, watcher_of
from chaos.faults.params import FaultParams, number
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
            int, number("descriptors it may still open; above 0 it runs out only at work", 0, 1000)
        ] = 0

    params: Params

    _sizes: Mapping[Path, int] = MappingProxyType({})  # of its logs, before the fault

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        record = super().undo_record(stack)
        self._sizes = {path: _size(path) for path in _log_paths(stack)}
        watcher = watcher_of(stack)
        return {**record, "open_before": len(_held(watcher)) if watcher is not None else 0}

    def low(self, stack: Stack, watcher: Identity) -> int:
        """The limit below which exactly `spare` numbers are free.

        A new descriptor gets the lowest free number, which must be below the limit.
        """
        held = _held(watcher)
        free = (number for number in itertools.count() if number not in held)
        return next(itertools.islice(free, self.params.spare, None))

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
        """The first new line in its logs about descriptors; empty if there is none."""
        for path in _log_paths(stack):
            known = self._sizes.get(path, 0)
            start = 0 if _size(path) < known else known  # rotated: all of it is new
            for line in file_from(path, start, _LOG_BYTES_MAX).splitlines():
                if any(complaint in line for complaint in _COMPLAINTS):
                    return line.decode(errors="replace").strip()[:200]
        return ""

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        before = look_at(stack, "watcher")
        output = stack.service("watcher").log.name  # was open all the time: proves nothing

        def look(watcher: Identity, measured: dict[str, Any]) -> bool:
            if self.in_force(watcher, measured):
                return False
            written = [n for n in before.changed(look_at(stack, "watcher")) if n != output]
            measured["written"] = written
            return bool(written)

        return probe_watcher(stack, look, deadline)


def _held(watcher: Identity) -> set[int]:
    """The descriptors that are open in each of several looks."""
    held = descriptors(watcher.pid)
    for _ in range(_LOOKS):
        time.sleep(_LOOK_PAUSE_S)
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
