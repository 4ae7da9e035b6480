"""Signals of processes and of the host, read from /proc through files that stay open.

A file that is open in /proc belongs to the process it was opened for, so a process with a reused
PID is never mistaken for it. Knows nothing of what the processes do.
"""

import contextlib
import os
import time
from collections.abc import Callable

from chaos.base.proc import scheduled_ns
from chaos.witness.base import SourceBase, Values
from chaos.witness.lives import Lives, parse_start_ticks

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
DETAILS_PERIOD_S = 0.5
_Texts = tuple[bytes, bytes, bytes]  # statm, the first thread's children, their page faults
_NOTHING: _Texts = (b"", b"", b"")


def _open(path: str, flags: int = os.O_RDONLY) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _number_after(text: bytes, field: bytes) -> int | None:
    """The first number after `field` in the text of a /proc file; None if there is no field."""
    start = text.find(field)
    if start < 0:
        return None
    start += len(field)
    return int(text[start : text.find(b"\n", start)].split(None, 1)[0])


def descriptors(proc_fd: int) -> int:
    """Count open descriptors. `proc_fd` is the open folder /proc/PID/fd.

    Linux 6.2 and newer report the count as the folder's size.
    """
    return os.fstat(proc_fd).st_size or len(os.listdir(proc_fd))


class ServiceProcess(SourceBase):
    """The process of a program: memory, descriptors, threads, children, CPU time.

    `name` begins its signals: `watcher`, or a service of the target. `pid` returns the current
    process (None: not running). A new process is followed, and `NAME.generation` counts them
    from 0. Anonymous memory plus swap is what can leak: resident
    memory includes file pages that the kernel may drop at any time.

    Read at every sample: anonymous memory, the children of the first thread (a child may live for
    less than a second), and `NAME.children_faults`, the page faults of all children that ended
    and were waited for. It rises with each child, also with one that lived between two samples
    (proc_pid_stat(5), cminflt). The details are read every `details_period_s` seconds and repeated
    in between. They are also read when anonymous memory has shrunk, because memory that was swapped
    out must not look freed.
    """

    def __init__(
        self,
        name: str,
        pid: Callable[[], int | None],
        *,
        period_s: float = 0.0,
        details_period_s: float = DETAILS_PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, period_s)
        self._pid = pid
        self._details_period_s = details_period_s
        self._clock = clock
        self._lives = Lives()
        self._opened: int | None = None
        self._files: dict[str, int] = {}
        self._threads: dict[str, int] = {}  # file of children, for each thread but the first
        self._texts = _NOTHING  # as of the last read
        self._next_texts: _Texts | None = None  # read by `unchanged`, for the read that follows
        self._pages = 0
        self._others_children = 0  # of all threads but the first
        self._details_next_s = 0.0
        self._hidden: dict[str, str] = {}  # absences of the details

    def unchanged(self) -> bool:
        """True if memory and children are unchanged and the details are not due."""
        if self._opened is None or self._clock() >= self._details_next_s:
            return False
        try:
            texts = self._read_texts()
        except ProcessLookupError:
            return False
        if texts == self._texts:
            return True
        self._next_texts = texts
        return False

    def _read_texts(self) -> _Texts:
        files = self._files
        statm, children = os.pread(files["statm"], 128, 0), os.pread(files["children"], 4096, 0)
        stat = os.pread(files["stat"], 2048, 0)
        return statm, children, stat.rpartition(b")")[2].split(None, 9)[8]

    def read(self, values: Values) -> None:
        # While its files answer, it is the same process. `pid` is asked only when the details are
        # due, in case another process has taken over.
        pid, now_s = self._opened, self._clock()
        if pid is None or now_s >= self._details_next_s:
            pid = self._pid()
        if pid is None:
            self.close()
            self._absent = {self.name: "not running"}
            return
        try:
            if pid != self._opened:
                self._open_files(pid)
            measured = self._measure(pid, now_s)
            values.update({f"{self.name}.{key}": value for key, value in measured.items()})
            self._absent = self._hidden
        except (FileNotFoundError, ProcessLookupError):
            self.close()
            self._absent = {self.name: f"process {pid} has ended"}

    def _open_files(self, pid: int) -> None:
        self.close()
        root = f"/proc/{pid}"
        for name in ("statm", "status", "stat"):
            self._files[name] = _open(f"{root}/{name}")
        self._files["children"] = _open(f"{root}/task/{pid}/children")
        with contextlib.suppress(PermissionError):  # the process of another user
            self._files["fd"] = _open(f"{root}/fd", os.O_RDONLY | os.O_DIRECTORY)
        start = parse_start_ticks(os.pread(self._files["stat"], 2048, 0))
        if start is None:
            raise ProcessLookupError
        self._lives.of((pid, start))
        self._opened = pid

    def _measure(self, pid: int, now_s: float) -> Values:
        self._texts, self._next_texts = self._next_texts or self._read_texts(), None
        statm, children, faults = self._texts
        # in pages; `shared` counts those of files and of shared memory
        size, resident, shared, _ = statm.split(None, 3)
        if size == b"0":
            raise ProcessLookupError  # a zombie: it has no memory
        pages = int(resident) - int(shared)
        if now_s >= self._details_next_s or pages < self._pages:
            self._details_next_s = now_s + self._details_period_s
            self._details = self._measure_details(pid)
        self._pages = pages
        return {
            "pid": pid,
            "generation": self._lives.generation,
            "rss_anon_bytes": pages * _PAGE_BYTES,
            "children": len(children.split()) + self._others_children,
            "children_faults": int(faults),
            **self._details,
        }

    def _measure_details(self, pid: int) -> Values:
        status = os.pread(self._files["status"], 4096, 0)
        fields = os.pread(self._files["stat"], 2048, 0).rpartition(b")")[2].split(None, 13)
        threads = _number_after(status, b"\nThreads:") or 1
        swap_kb = _number_after(status, b"\nVmSwap:")
        details: Values = {"threads": threads}
        if swap_kb is not None:
            details["swap_bytes"] = swap_kb * 1024
        details["cpu_s"] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        details["wait_s"] = round(scheduled_ns(pid)[1] / 1e9, 3)
        self._others_children = self._children_of_others(pid, threads)
        try:
            details["fds"] = descriptors(self._files["fd"])
        except (PermissionError, KeyError):
            self._hidden = {f"{self.name}.fds": "not permitted"}
        return details

    def _children_of_others(self, pid: int, threads: int) -> int:
        """Number of children of all threads but the first. The kernel lists them per thread."""
        total = 0
        if threads > 1 or self._threads:
            self._list_threads(pid)
        for children_fd in self._threads.values():
            with contextlib.suppress(ProcessLookupError):  # ended: its children have a new parent
                total += len(os.pread(children_fd, 4096, 0).split())
        return total

    def _list_threads(self, pid: int) -> None:
        tasks = set(os.listdir(f"/proc/{pid}/task")) - {str(pid)}  # noqa: PTH208
        for task in self._threads.keys() - tasks:
            os.close(self._threads.pop(task))
        for task in tasks - self._threads.keys():
            with contextlib.suppress(FileNotFoundError):  # ended since it was listed
                self._threads[task] = _open(f"/proc/{pid}/task/{task}/children")

    def close(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])
        while self._threads:
            os.close(self._threads.popitem()[1])
        self._opened, self._pages, self._details_next_s = None, 0, 0.0
        self._texts, self._next_texts = _NOTHING, None
        self._hidden = {}


class Harness(SourceBase):
    """The harness's own memory and CPU time, because an observer can cause growth itself."""

    def __init__(self) -> None:
        super().__init__("harness", 0.5)
        self._statm = _open("/proc/self/statm")

    def read(self, values: Values) -> None:
        resident = os.pread(self._statm, 128, 0).split(None, 2)[1]
        values["harness.rss_bytes"] = int(resident) * _PAGE_BYTES
        values["harness.cpu_s"] = round(time.process_time(), 6)

    def close(self) -> None:
        if self._statm >= 0:
            os.close(self._statm)
            self._statm = -1


class Host(SourceBase):
    """Available memory and load of the machine, read once a second.

    Both change slowly, and the kernel sums over the whole machine to compute them.
    """

    def __init__(self) -> None:
        super().__init__("host", 1.0)
        self._files = [_open("/proc/meminfo"), _open("/proc/loadavg")]

    def read(self, values: Values) -> None:
        values["host.load1"] = float(os.pread(self._files[1], 64, 0).split(None, 1)[0])
        available_kb = _number_after(os.pread(self._files[0], 256, 0), b"\nMemAvailable:")
        if available_kb is not None:
            values["host.mem_available_bytes"] = available_kb * 1024

    def close(self) -> None:
        while self._files:
            os.close(self._files.pop())
