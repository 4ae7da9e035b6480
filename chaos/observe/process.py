"""Signals of processes and of the host, read from /proc through files that stay open.

A file that is open in /proc stays with the process it was opened for, so a new process under
an old number is never mistaken for it. Knows nothing of what the processes do.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from chaos.observe.base import SourceBase, Values

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LIST_THREADS_PERIOD_S = 1.0  # one that replaced another is seen so much later


def _open(path: str, flags: int = os.O_RDONLY) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _number_after(text: bytes, field: bytes) -> int | None:
    """The first number after `field` in the text of a /proc file."""
    start = text.find(field)
    if start < 0:
        return None
    start += len(field)
    return int(text[start : text.find(b"\n", start)].split(None, 1)[0])


def descriptors(proc_fd: int) -> int:
    """Open descriptors, given the open folder /proc/PID/fd. Linux ≥ 6.2 has it as a size."""
    return os.fstat(proc_fd).st_size or len(os.listdir(proc_fd))


class WatcherProcess(SourceBase):
    """The Watcher's process: memory, descriptors, threads, children, processor time.

    `pid` says which process it is now (None: there is none). Anonymous memory plus swap is
    what can leak: resident memory counts files that the kernel may drop at any time.
    """

    def __init__(self, pid: Callable[[], int | None]) -> None:
        super().__init__("watcher")
        self._pid = pid
        self._opened: int | None = None
        self._files: list[int] = []
        self._threads: dict[str, int] = {}  # all but the first: the files with their children
        self._list_again_s = 0.0

    def read(self, values: Values) -> None:
        """Adds the keys `watcher.*`; none when the process does not run."""
        self._absent.clear()
        pid = self._pid()
        if pid is None:
            self.close()
            self._absent["watcher"] = "not running"
            return
        try:
            if pid != self._opened:
                self._open_files(pid)
            self._measure(pid, values)
        except (FileNotFoundError, ProcessLookupError):
            self.close()
            self._absent["watcher"] = f"process {pid} has ended"

    def _open_files(self, pid: int) -> None:
        self.close()
        root = f"/proc/{pid}"
        for path in ("status", "stat", f"task/{pid}/children"):
            self._files.append(_open(f"{root}/{path}"))
        self._files.append(_open(f"{root}/fd", os.O_RDONLY | os.O_DIRECTORY))
        self._opened = pid

    def _measure(self, pid: int, values: Values) -> None:
        status_fd, stat_fd, children_fd, fd_fd = self._files
        status = os.pread(status_fd, 4096, 0)
        anon_kb = _number_after(status, b"\nRssAnon:")
        if anon_kb is None:
            self._absent["watcher"] = f"process {pid} has ended and is not reaped"
            return
        threads = _number_after(status, b"\nThreads:") or 1
        swap_kb = _number_after(status, b"\nVmSwap:")
        fields = os.pread(stat_fd, 2048, 0).rpartition(b")")[2].split(None, 13)
        values["watcher.pid"] = pid
        values["watcher.rss_anon_bytes"] = anon_kb * 1024
        if swap_kb is not None:
            values["watcher.swap_bytes"] = swap_kb * 1024
        values["watcher.threads"] = threads
        values["watcher.cpu_s"] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        values["watcher.children"] = self._children(pid, threads, children_fd)
        try:
            values["watcher.fds"] = descriptors(fd_fd)
        except PermissionError:
            self._absent["watcher.fds"] = "not permitted"

    def _children(self, pid: int, threads: int, main_fd: int) -> int:
        """Children of all threads; the kernel lists them per thread."""
        total = len(os.pread(main_fd, 4096, 0).split())
        now_s = time.monotonic()
        if len(self._threads) != threads - 1 or now_s >= self._list_again_s:
            self._list_again_s = now_s + _LIST_THREADS_PERIOD_S
            self._list_threads(pid)
        for children_fd in self._threads.values():
            with contextlib.suppress(ProcessLookupError):  # has ended: its children moved on
                total += len(os.pread(children_fd, 4096, 0).split())
        return total

    def _list_threads(self, pid: int) -> None:
        tasks = set(os.listdir(f"/proc/{pid}/task")) - {str(pid)}  # noqa: PTH208
        for task in self._threads.keys() - tasks:
            os.close(self._threads.pop(task))
        for task in tasks - self._threads.keys():
            with contextlib.suppress(FileNotFoundError):  # has ended since it was listed
                self._threads[task] = _open(f"/proc/{pid}/task/{task}/children")

    def close(self) -> None:
        """Release the /proc files."""
        while self._files:
            os.close(self._files.pop())
        while self._threads:
            os.close(self._threads.popitem()[1])
        self._opened = None


class Harness(SourceBase):
    """What the harness itself uses: observers have caused the growth that they reported."""

    def __init__(self) -> None:
        super().__init__("harness")
        self._statm = _open("/proc/self/statm")

    def read(self, values: Values) -> None:
        """Adds `harness.rss_bytes` and `harness.cpu_s`."""
        resident = os.pread(self._statm, 128, 0).split(None, 2)[1]
        values["harness.rss_bytes"] = int(resident) * _PAGE_BYTES
        values["harness.cpu_s"] = round(time.process_time(), 6)

    def close(self) -> None:
        """Release the /proc file."""
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1


class Host(SourceBase):
    """Available memory and load of the machine, read once a second and repeated in between.

    Both change slowly, and the kernel adds up the whole machine for them.
    """

    def __init__(self, *, period_s: float = 1.0) -> None:
        super().__init__("host")
        self._period_s = period_s
        self._next_s = 0.0
        self._known: Values = {}
        self._files = [_open("/proc/meminfo"), _open("/proc/loadavg")]

    def read(self, values: Values) -> None:
        """Adds `host.mem_available_bytes` and `host.load1`."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + self._period_s
            self._measure()
        values.update(self._known)

    def _measure(self) -> None:
        self._known = {"host.load1": float(os.pread(self._files[1], 64, 0).split(None, 1)[0])}
        available_kb = _number_after(os.pread(self._files[0], 256, 0), b"\nMemAvailable:")
        if available_kb is not None:
            self._known["host.mem_available_bytes"] = available_kb * 1024

    def close(self) -> None:
        """Release the /proc files."""
        while self._files:
            os.close(self._files.pop())
