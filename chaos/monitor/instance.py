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

from chaos.record.target import Instance, Target
from chaos.witness.base import open_file, reason, select, unchanged_key
from chaos.witness.lives import start_ticks as start_ticks

_FILE_BYTES_MAX = 64 * 1024
_CLOCK_SLACK_S = 2.0


def read_object(path: Path) -> dict[str, Any]:
    """A small JSON object. Raises `OSError`, or `ValueError` with the reason."""
    with path.open("rb") as stream:
        raw = stream.read(_FILE_BYTES_MAX + 1)
    if not raw.strip():
        raise ValueError("empty")
    try:
        content = msgspec.json.decode(raw[:_FILE_BYTES_MAX])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return content


def instance_of(target: Target) -> Instance | None:
    """How the target tells its process: its own section, else its ready file's `pid`."""
    if target.instance is not None:
        return target.instance
    return Instance(pid_file=target.watcher.ready_file) if target.watcher.ready_file else None


class Held:
    """A process, held by a file of its own: no later one with its number is taken for it."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    @classmethod
    def of(cls, pid: int) -> Held | None:
        """The process that has this number now, if it lives."""
        try:
            held = cls(pid, open_file(f"/proc/{pid}/statm"))
        except (FileNotFoundError, ProcessLookupError):
            return None
        if held.lives():
            return held
        held.close()
        return None

    def lives(self) -> bool:
        """Whether it runs; one that ended and is not reaped has no memory any more."""
        try:
            return not os.pread(self._descriptor, 2, 0).startswith(b"0 ")
        except ProcessLookupError:
            return False

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class FixedProcess:
    """The process that the user named; when it has ended, no other ever takes its place."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._held = Held.of(pid)
        self.why = f"no process {pid}"

    def __call__(self) -> int | None:
        """Its number while it lives."""
        if self._held is None:
            return None
        if self._held.lives():
            return self._pid
        self._held.close()
        self._held, self.why = None, f"process {self._pid} has ended"
        return None


class OwnFile:
    """The process that the Watcher's own file names, followed through restarts.

    One look costs a `stat` of that file and one question for the process: the file is read
    again when it has changed. `why` tells why there is none.
    """

    def __init__(self, instance: Instance | None, workspace: Path) -> None:
        self._instance = instance
        self._workspace = workspace
        self._path = workspace / instance.pid_file if instance else workspace
        self._text = str(self._path)
        self._key: tuple[int, ...] | None = None
        self._known: Held | None = None
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
            self._forget()
            self.why = reason(error)
            return None
        key = unchanged_key(status, read_at_ns)
        if key is None or key != self._key:
            self._forget()
            self._key, self._known = key, self._look(self._instance, status.st_mtime)
        if self._known is None:
            return None
        if not self._known.lives():
            self.why = f"{self._instance.pid_file} names process {self._known.pid}, which has ended"
            return None
        return self._known.pid

    def _forget(self) -> None:
        if self._known is not None:
            self._known.close()
        self._key, self._known = None, None

    def _look(self, instance: Instance, written_s: float) -> Held | None:
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
        held = Held.of(pid)
        if held is None or start_ticks(pid) != ticks:
            self.why = f"{instance.pid_file} names process {pid}, which has ended"
            return None
        return held

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
