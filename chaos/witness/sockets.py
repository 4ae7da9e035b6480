"""The Watcher's TCP sockets by state, and its dead children that nobody has reaped.

Asked once a second: the kernel walks its whole table of connections for it. Knows nothing of what
the connections are for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from chaos.witness.base import SourceBase, Values, stat
from chaos.witness.netlink import connections

_PERIOD_S = 1.0
# The text of a foreign namespace's table is slow to read: at most this part of one processor.
_SHARE_MAX = 1 / 1000
_TABLE_BYTES_MAX = 1 << 20
_ESTABLISHED, _CLOSE_WAIT = 1, 8
_KINDS = ("established", "close_wait", "other")


class WatcherSockets(SourceBase):
    """`watcher.sockets_established`, `.sockets_close_wait`, `.sockets_other`, `watcher.zombies`.

    `other` are all remaining sockets that it holds: other states, listening, not TCP.
    """

    def __init__(
        self, pid: Callable[[], int | None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("watcher.sockets", _PERIOD_S)
        self._pid = pid
        self._clock = clock
        self._text_next_s = 0.0
        self._text_of = 0  # the process whose table was read last
        self._states: dict[int, int] = {}  # inode -> state, of that table

    def read(self, values: Values) -> None:
        """Adds the four keys; none when the process does not run."""
        self._absent.clear()
        pid = self._pid()
        if pid is None:
            self._absent[self.name] = "not running"
            return
        try:
            held = _held_sockets(pid)
            zombies = _zombies(pid)
            states = self._states_of(pid) if held else {}
        except PermissionError:
            self._absent[self.name] = "not permitted"
            return
        except (FileNotFoundError, ProcessLookupError):
            self._absent[self.name] = f"process {pid} has ended"
            return
        values["watcher.zombies"] = zombies
        found = [states.get(inode) for inode in held]
        counts = (found.count(_ESTABLISHED), found.count(_CLOSE_WAIT))
        for kind, count in zip(_KINDS, (*counts, len(held) - sum(counts)), strict=True):
            values[f"watcher.sockets_{kind}"] = count

    def _states_of(self, pid: int) -> dict[int, int]:
        """Inode -> state of the TCP connections in the process's network namespace."""
        if _shares_our_network(pid):
            try:
                return connections((_ESTABLISHED, _CLOSE_WAIT))
            except OSError:
                pass  # a kernel without sock_diag still has the text
        now_s = self._clock()
        if now_s >= self._text_next_s or pid != self._text_of:
            begin_s = time.thread_time()
            self._states, self._text_of = _table(pid), pid
            cost_s = time.thread_time() - begin_s
            self._text_next_s = now_s + max(_PERIOD_S, cost_s / _SHARE_MAX)
        return self._states


def _shares_our_network(pid: int) -> bool:
    """Our own questions are answered for our own namespace."""
    theirs, ours = stat(f"/proc/{pid}/ns/net"), stat("/proc/self/ns/net")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _held_sockets(pid: int) -> list[int]:
    """Inodes of the sockets among the open descriptors."""
    folder = f"/proc/{pid}/fd"
    held = []
    for name in os.listdir(folder):  # noqa: PTH208 (a Path per descriptor costs too much)
        try:
            link = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except FileNotFoundError:
            continue  # closed since the listing
        if link.startswith("socket:["):
            held.append(int(link[8:-1]))
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


def _table(pid: int) -> dict[int, int]:
    """The same from the kernel's text, which also tells of another namespace."""
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
                found[int(fields[9])] = int(fields[3], 16)
    return found
