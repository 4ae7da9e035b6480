"""Signals of the Watcher's TCP sockets by state, and of its zombie children.

Read once a second, because the kernel walks its whole connection table each time. Knows nothing of
what the connections are for.
"""

import os
import time
from collections.abc import Callable

from chaos.witness.base import SourceBase, Values, stat
from chaos.witness.netlink import connections
from chaos.witness.processes import tcp_table

_PERIOD_S = 1.0
# The table of another network namespace is slow to read: use at most this share of one CPU for it.
_SHARE_MAX = 1 / 1000
_ESTABLISHED, _CLOSE_WAIT = 1, 8
_KINDS = ("established", "close_wait", "other")


class WatcherSockets(SourceBase):
    """`watcher.sockets_established`, `.sockets_close_wait`, `.sockets_other`, `watcher.zombies`.

    `other` counts all remaining sockets of the process: other states, listening, not TCP.
    """

    def __init__(
        self, pid: Callable[[], int | None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__("watcher.sockets", _PERIOD_S)
        self._pid = pid
        self._clock = clock
        self._table_next_s = 0.0
        self._table_pid = 0  # the process whose table was read last
        self._table_states: dict[int, int] = {}  # inode -> state, of that table

    def read(self, values: Values) -> None:
        self._absent.clear()
        pid = self._pid()
        if pid is None:
            self._absent[self.name] = "not running"
            return
        try:
            inodes = _held_sockets(pid)
            zombies = _zombies(pid)
            states = self._states_of(pid) if inodes else {}
        except PermissionError:
            self._absent[self.name] = "not permitted"
            return
        except (FileNotFoundError, ProcessLookupError):
            self._absent[self.name] = f"process {pid} has ended"
            return
        values["watcher.zombies"] = zombies
        held_states = [states.get(inode) for inode in inodes]
        counts = (held_states.count(_ESTABLISHED), held_states.count(_CLOSE_WAIT))
        for kind, count in zip(_KINDS, (*counts, len(inodes) - sum(counts)), strict=True):
            values[f"watcher.sockets_{kind}"] = count

    def _states_of(self, pid: int) -> dict[int, int]:
        """Inode -> state of the TCP connections in the process's network namespace."""
        if _shares_our_network(pid):
            try:
                return connections((_ESTABLISHED, _CLOSE_WAIT))
            except OSError:
                pass  # a kernel without sock_diag still has /proc/PID/net
        now_s = self._clock()
        if now_s >= self._table_next_s or pid != self._table_pid:
            begin_s = time.thread_time()
            self._table_states = {int(f[9]): int(f[3], 16) for f in tcp_table(pid)}
            self._table_pid = pid
            cost_s = time.thread_time() - begin_s
            self._table_next_s = now_s + max(_PERIOD_S, cost_s / _SHARE_MAX)
        return self._table_states


def _shares_our_network(pid: int) -> bool:
    """True if the process is in our network namespace: netlink answers only for that one."""
    theirs, ours = stat(f"/proc/{pid}/ns/net"), stat("/proc/self/ns/net")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _held_sockets(pid: int) -> list[int]:
    """Inodes of the sockets among the process's open descriptors."""
    folder = f"/proc/{pid}/fd"
    inodes = []
    for name in os.listdir(folder):  # noqa: PTH208 (a Path per descriptor costs too much)
        try:
            link = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except FileNotFoundError:
            continue  # closed since the listing
        if link.startswith("socket:["):
            inodes.append(int(link[8:-1]))
    return inodes


def _zombies(pid: int) -> int:
    """Number of zombies among the children of the main thread."""
    with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as stream:  # noqa: PTH123
        children = stream.read(4096).split()
    return sum(_state(child.decode()) == b"Z" for child in children)


def _state(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stream:  # noqa: PTH123
            return stream.read(512).rpartition(b")")[2].split(None, 1)[0]
    except (FileNotFoundError, ProcessLookupError):
        return b""
