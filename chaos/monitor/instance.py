"""Find the Watcher's process by the file that it writes itself, never by its name.

A name (`pgrep -f watcher_agent | head -1`) also matches wrappers, editors and the halt helper.
Knows the target profile and /proc. Must not know what is measured of the process.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from chaos.record.pid_file import named_process
from chaos.record.target import Instance, Target
from chaos.witness.base import open_file, reason, unchanged_key
from chaos.witness.lives import start_ticks as start_ticks

_FILE_BYTES_MAX = 64 * 1024
_CLOCK_SLACK_S = 2.0


def read_json(path: Path, bytes_max: int = _FILE_BYTES_MAX) -> Any:
    """Read a JSON file of at most `bytes_max`. Raises `OSError`, or `ValueError` with a reason."""
    raw = _read_small(path, bytes_max)
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def _read_small(path: Path, bytes_max: int = _FILE_BYTES_MAX) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    with path.open("rb") as stream:
        raw = stream.read(bytes_max + 1)
    if not raw.strip():
        raise ValueError("empty")
    if len(raw) > bytes_max:
        raise ValueError(f"larger than {bytes_max / 1e6:.1f} MB")
    return raw


def read_object(path: Path, bytes_max: int = _FILE_BYTES_MAX) -> dict[str, Any]:
    """Like `read_json`, for a JSON object. Raises `OSError`, or `ValueError` with the reason."""
    content = read_json(path, bytes_max)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def instance_of(target: Target) -> Instance | None:
    """The target's section `instance`, else its ready file with the key `pid`, else None."""
    if target.instance is not None:
        return target.instance
    return Instance(pid_file=target.watcher.ready_file) if target.watcher.ready_file else None


class LiveProcess:
    """A process, identified by an open /proc file: a process with a reused PID is not the same."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    @classmethod
    def of(cls, pid: int) -> LiveProcess | None:
        """The process that has this PID now; None if there is none."""
        try:
            process = cls(pid, open_file(f"/proc/{pid}/statm"))
        except (FileNotFoundError, ProcessLookupError):
            return None
        if process.lives():
            return process
        process.close()
        return None

    def lives(self) -> bool:
        """True while it runs. A zombie has no memory, so it does not count."""
        try:
            return not os.pread(self._descriptor, 2, 0).startswith(b"0 ")
        except ProcessLookupError:
            return False

    def close(self) -> None:
        """Close the /proc file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FixedProcess:
    """The process that the user named. Once it has ended, no other process replaces it.

    `absence_reason` explains an absent process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process = LiveProcess.of(pid)
        self.absence_reason = f"no process {pid}"

    def __call__(self) -> int | None:
        """Its PID while it lives, else None."""
        if self._process is None:
            return None
        if self._process.lives():
            return self._pid
        self._process.close()
        self._process, self.absence_reason = None, f"process {self._pid} has ended"
        return None


class OwnFile:
    """The process that the Watcher's own file names, followed through restarts.

    A call costs a `stat` of the file and a read of an open /proc file. The file is read again only
    after a change. `absence_reason` explains an absent process.
    """

    def __init__(self, instance: Instance | None, workspace: Path) -> None:
        self._instance = instance
        self._workspace = workspace
        self._path = workspace / instance.pid_file if instance else workspace
        self._text = str(self._path)
        self._key: tuple[int, ...] | None = None
        self._process: LiveProcess | None = None
        self.absence_reason = "not searched for yet"

    def __call__(self) -> int | None:
        """The Watcher's current PID, or None."""
        if self._instance is None:
            self.absence_reason = "the target profile names no PID file (instance.pid_file)"
            return None
        read_at_ns = time.time_ns()
        try:
            status = os.stat(self._text)  # noqa: PTH116 (asked at every sample)
        except OSError as error:
            self._forget()
            self.absence_reason = reason(error)
            return None
        key = unchanged_key(status, read_at_ns)
        if key is None or key != self._key:
            self._forget()
            self._key, self._process = key, self._find(self._instance, status.st_mtime)
        if self._process is None:
            return None
        pid = self._process.pid
        if not self._process.lives():
            self.absence_reason = f"{self._instance.pid_file} names process {pid}, which has ended"
            return None
        return pid

    def _forget(self) -> None:
        if self._process is not None:
            self._process.close()
        self._key, self._process = None, None

    def _find(self, instance: Instance, written_s: float) -> LiveProcess | None:
        """The process that the file names, if it is proven not to be another with the same PID.

        `written_s`: modification time of the file (Unix time).
        """
        try:
            pid, said_ticks = named_process(_read_small(self._path), instance)
        except (OSError, ValueError) as error:
            text = reason(error) if isinstance(error, OSError) else str(error)
            self.absence_reason = f"{instance.pid_file} names no process: {text}"
            return None
        if pid is None:
            where = f"no number at {instance.pid!r}" if instance.pid else "not a number alone"
            self.absence_reason = f"{instance.pid_file} names no process: {where}"
            return None
        ticks = start_ticks(pid)
        if ticks is None:
            self.absence_reason = f"{instance.pid_file} names process {pid}, which has ended"
            return None
        if not self._is_meant(instance, said_ticks, pid, ticks, written_s):
            self.absence_reason = (
                f"{instance.pid_file} names process {pid}; that number now belongs to another one"
            )
            return None
        process = LiveProcess.of(pid)
        if process is None or start_ticks(pid) != ticks:
            self.absence_reason = f"{instance.pid_file} names process {pid}, which has ended"
            return None
        return process

    def _is_meant(
        self,
        instance: Instance,
        said_ticks: int | None,
        pid: int,
        ticks: int,
        written_s: float,
    ) -> bool:
        """True if process `pid`, which started at `ticks`, is the one that wrote the file."""
        if instance.start_ticks:
            return said_ticks == ticks
        started_s = _boot_s() + ticks / os.sysconf("SC_CLK_TCK")
        if started_s > written_s + _CLOCK_SLACK_S:
            return False
        with contextlib.suppress(OSError):  # another user's process: its start must suffice
            return Path(f"/proc/{pid}/cwd").samefile(self._workspace)
        return True


def _boot_s() -> float:
    """When the machine was booted (Unix time)."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
