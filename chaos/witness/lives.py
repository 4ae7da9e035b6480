"""Lives of a service: it may be killed and started again, and then is another process.

A number alone does not tell one process from the next, so each is known by its start, too. What
counts the lives must not care who ended the one before.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from chaos.witness.base import SourceBase, Values, open_file

_PERIOD_S = 0.5
_START = 19  # field 22 of /proc/PID/stat, counted after the name


class Lives:
    """Counts the processes that a service has been: the first is generation 0."""

    def __init__(self) -> None:
        self._last: object = None
        self.generation = -1

    def of(self, identity: object) -> int:
        """The generation of the process known by `identity`, which is the one that lives now."""
        if identity != self._last:
            self._last = identity
            self.generation += 1
        return self.generation


def start_of(stat_text: bytes) -> int | None:
    """When a process started (ticks since boot), of its /proc/PID/stat; None: it has ended.

    One that has ended and is not reaped still has the file.
    """
    fields = stat_text.rpartition(b")")[2].split(None, _START + 1)
    return None if fields[0] in b"ZX" else int(fields[_START])


def start_ticks(pid: int) -> int | None:
    """Start of a live process in clock ticks since boot; None: no such process (or a zombie)."""
    try:
        descriptor = open_file(f"/proc/{pid}/stat")
        try:
            return start_of(os.pread(descriptor, 2048, 0))
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        return None


class ServiceLife(SourceBase):
    """`NAME.pid` and `NAME.generation` of a service of which nothing else is measured."""

    def __init__(self, name: str, pid: Callable[[], int | None]) -> None:
        super().__init__(name, _PERIOD_S)
        self._pid = pid
        self._lives = Lives()

    def read(self, values: Values) -> None:
        """Adds the two keys; none while it does not run."""
        self._absent.clear()
        pid = self._pid()
        start = start_ticks(pid) if pid is not None else None
        if pid is None or start is None:
            self._absent[self.name] = "not running" if pid is None else f"process {pid} has ended"
            return
        values[f"{self.name}.pid"] = pid
        values[f"{self.name}.generation"] = self._lives.of((pid, start))
