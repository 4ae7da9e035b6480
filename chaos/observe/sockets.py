"""The Watcher's TCP sockets by state, and its dead children that nobody has reaped.

Both are asked once a second and repeated in between: the kernel walks its whole table of
connections for the first. Knows nothing of what the connections are for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from chaos.observe.base import SourceBase, Values

_PERIOD_S = 1.0
# Where the kernel's table is slow to read it is read less often: this part of one processor.
_SHARE_MAX = 1 / 400
_TABLE_BYTES_MAX = 1 << 20
_ESTABLISHED, _CLOSE_WAIT = b"01", b"08"
_KINDS = ("established", "close_wait", "other")


class WatcherSockets(SourceBase):
    """`watcher.sockets_established`, `.sockets_close_wait`, `.sockets_other`, `watcher.zombies`.

    `other` are all remaining sockets that it holds: other states, listening, not TCP.
    """

    def __init__(
        self, pid: Callable[[], int | None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("watcher.sockets")
        self._pid = pid
        self._clock = clock
        self._looked_at = 0
        self._next_s = 0.0
        self._table_next_s = 0.0
        self._states: dict[bytes, bytes] = {}  # inode -> state, as of the last look at the table
        self._known: Values = {}

    def read(self, values: Values) -> None:
        """Adds the four keys; none when the process does not run."""
        pid = self._pid()
        if pid is None:
            self._known = {}
            self._absent = {self.name: "not running"}
            return
        now_s = self._clock()
        if now_s >= self._next_s or pid != self._looked_at:
            self._next_s = now_s + _PERIOD_S
            self._look(pid, now_s)
        values.update(self._known)

    def _look(self, pid: int, now_s: float) -> None:
        self._absent.clear()
        self._looked_at = pid
        known: Values = {}
        try:
            held = _held_sockets(pid)
            known["watcher.zombies"] = _zombies(pid)
        except PermissionError:
            self._known = {}
            self._absent[self.name] = "not permitted"
            return
        except (FileNotFoundError, ProcessLookupError):
            self._known = {}
            self._absent[self.name] = f"process {pid} has ended"
            return
        if held and now_s >= self._table_next_s:
            begin_s = time.thread_time()
            self._states = _table(pid)
            cost_s = time.thread_time() - begin_s
            self._table_next_s = now_s + max(_PERIOD_S, cost_s / _SHARE_MAX)
        states = [self._states.get(inode) for inode in held]
        counts = (states.count(_ESTABLISHED), states.count(_CLOSE_WAIT))
        for kind, count in zip(_KINDS, (*counts, len(held) - sum(counts)), strict=True):
            known[f"watcher.sockets_{kind}"] = count
        self._known = known


def _held_sockets(pid: int) -> list[bytes]:
    """Inodes of the sockets among the open descriptors."""
    folder = f"/proc/{pid}/fd"
    held = []
    for name in os.listdir(folder):  # noqa: PTH208 (a Path per descriptor costs too much)
        try:
            link = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except FileNotFoundError:
            continue  # closed since the listing
        if link.startswith("socket:["):
            held.append(link[8:-1].encode())
    return held


def _zombies(pid: int) -> int:
    """Children of the main thread that have ended and are not reaped."""
    with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as stream:  # noqa: PTH123
        children = stream.read(4096).split()
    return sum(_state(child.decode()) == b"Z" for child in children)


def _state(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stream:  # noqa: PTH123
            return stream.read(512).rpartition(b")")[2].split(None, 1)[0]
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _table(pid: int) -> dict[bytes, bytes]:
    """Inode -> state of the TCP connections in the process's network namespace."""
    found = {}
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}", "rb") as stream:  # noqa: PTH123
                lines = stream.read(_TABLE_BYTES_MAX).splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without it
        for line in lines:
            fields = line.split(None, 10)
            if len(fields) > 9:
                found[fields[9]] = fields[3]
    return found
