"""Which process is the Watcher of a workspace? Told by its own files, never found by a name.

A name (`pgrep -f watcher_agent | head -1`) also matches wrappers, editors and the halt helper.
Knows the target profile and /proc; must not know what is measured of the process.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from chaos.observe.base import reason, select, unchanged_key
from chaos.target import Instance, Target

_FILE_BYTES_MAX = 64 * 1024
_CLOCK_SLACK_S = 2.0


def start_ticks(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; None: no such process (or a zombie).

    Tells a process from a later one with the same number.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fields = os.pread(descriptor, 2048, 0).rpartition(b")")[2].split(None, 21)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in b"ZX" else int(fields[19])


def read_object(path: Path) -> dict[str, Any]:
    """A small JSON object. Raises `OSError`, or `ValueError` with the reason."""
    with path.open("rb") as stream:
        raw = stream.read(_FILE_BYTES_MAX + 1)
    if not raw.strip():
        raise ValueError("empty")
    try:
        content = msgspec.json.decode(raw[:_FILE_BYTES_MAX])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def instance_of(target: Target) -> Instance | None:
    """How the target tells its process: its own section, else its ready file's `pid`."""
    if target.instance is not None:
        return target.instance
    return Instance(pid_file=target.watcher.ready_file) if target.watcher.ready_file else None


class FixedProcess:
    """The process that the user named; when it has ended, no other ever takes its place."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ticks = start_ticks(pid)
        self.why = f"no process {pid}"

    def __call__(self) -> int | None:
        """Its number while it lives."""
        if self._ticks is not None and start_ticks(self._pid) == self._ticks:
            return self._pid
        if self._ticks is not None:
            self.why = f"process {self._pid} has ended"
        return None


class OwnFile:
    """The process that the Watcher's own file names, followed through restarts.

    One look costs a `stat` of that file and one read of /proc/PID/stat: the file is read again
    when it has changed. `why` tells why there is none.
    """

    def __init__(self, instance: Instance | None, workspace: Path) -> None:
        self._instance = instance
        self._workspace = workspace
        self._path = workspace / instance.pid_file if instance else workspace
        self._text = str(self._path)
        self._key: tuple[int, ...] | None = None
        self._known: tuple[int, int] | None = None  # process, its start
        self.why = "not looked for yet"

    def __call__(self) -> int | None:
        """The Watcher's process now, or None."""
        if self._instance is None:
            self.why = "the target profile names no file that tells the process (instance.pid_file)"
            return None
        read_at_ns = time.time_ns()
        try:
            status = os.stat(self._text)  # noqa: PTH116 (asked at every sample)
        except OSError as error:
            self._key, self._known, self.why = None, None, reason(error)
            return None
        key = unchanged_key(status, read_at_ns)
        if key is None or key != self._key:
            self._key, self._known = key, self._look(self._instance, status.st_mtime)
        if self._known is None:
            return None
        pid, ticks = self._known
        if start_ticks(pid) != ticks:
            self.why = f"{self._instance.pid_file} names process {pid}, which has ended"
            return None
        return pid

    def _look(self, instance: Instance, written_s: float) -> tuple[int, int] | None:
        """The process that the file names, if it is proven to be the one that is meant."""
        try:
            content = read_object(self._path)
        except (OSError, ValueError) as error:
            text = reason(error) if isinstance(error, OSError) else str(error)
            self.why = f"{instance.pid_file} names nobody: {text}"
            return None
        pid = select(content, instance.pid)
        if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
            self.why = f"{instance.pid_file} names nobody: no process number at {instance.pid!r}"
            return None
        ticks = start_ticks(pid)
        if ticks is None:
            self.why = f"{instance.pid_file} names process {pid}, which has ended"
            return None
        if not self._is_meant(instance, content, pid, ticks, written_s):
            self.why = (
                f"{instance.pid_file} names process {pid}; that number now belongs to another one"
            )
            return None
        return pid, ticks

    def _is_meant(
        self,
        instance: Instance,
        content: dict[str, Any],
        pid: int,
        ticks: int,
        written_s: float,
    ) -> bool:
        """Numbers are used again: the file must tell of this very process."""
        if instance.start_ticks:
            return bool(select(content, instance.start_ticks) == ticks)
        started_s = _boot_s() + ticks / os.sysconf("SC_CLK_TCK")
        if started_s > written_s + _CLOCK_SLACK_S:
            return False
        with contextlib.suppress(OSError):  # another user's: its start has to do
            return Path(f"/proc/{pid}/cwd").samefile(self._workspace)
        return True


def _boot_s() -> float:
    """When the machine was started (unix time)."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
