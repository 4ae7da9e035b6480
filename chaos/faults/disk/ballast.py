"""Ballast: an unnamed file (O_TMPFILE) that takes a volume's free space.

It allocates real blocks (`posix_fallocate`). Nobody finds the file, and the kernel frees it when
its process ends. A thread also takes space that others free later (a log rotates, a folder is
removed), until the ballast is released or its time is over. Knows no fault.
"""

import errno
import os
import threading
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem, os_errors_told
from chaos.faults.disk.volume import PAGE_BYTES, free_bytes, total_bytes

_STEPS_MAX = 64
_TOP_UP_PERIOD_S = 0.05
_JOIN_LIMIT_S = 5.0
_ALLOCATED_PART = 0.9


class Ballast:
    """Takes the free space in `folder` except for `leave_bytes`; never more than the volume's size.

    Raises `EnvironmentProblem` if the file system has no O_TMPFILE. Call `start` and `release` from
    one thread; `bytes_held` may be called from any.
    """

    def __init__(self, folder: Path, leave_bytes: int) -> None:
        self._folder = folder
        self._leave_bytes = leave_bytes
        self._limit_bytes = total_bytes(folder)
        with os_errors_told("the ballast cannot be opened", folder):
            self._descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._released = threading.Event()
        self._thread: threading.Thread | None = None
        self.topped_up_bytes = 0  # taken after the start
        self.trouble = ""  # why topping up ended early

    def start(self, limit_s: float) -> None:
        """Take the space, and keep on taking it for `limit_s`. Raises `EnvironmentProblem`."""
        with os_errors_told("the ballast cannot be allocated", self._folder):
            self._grow()
        if self.bytes_held() < self._size * _ALLOCATED_PART:
            raise EnvironmentProblem(
                f"the ballast has {self._size} bytes, and {self.bytes_held()} allocated in blocks",
                place=str(self._folder),
                next_step="the file system does not allocate: use another volume",
            )
        self._thread = threading.Thread(
            target=self._top_up, args=(limit_s,), name="ballast", daemon=True
        )
        self._thread.start()

    def bytes_held(self) -> int:
        """The size of its allocated blocks."""
        return 0 if self._released.is_set() else os.fstat(self._descriptor).st_blocks * 512

    def release(self) -> None:
        """Free the space. Idempotent. Raises `EnvironmentProblem` if the thread does not end."""
        self._released.set()
        if self._thread is not None:
            self._thread.join(_JOIN_LIMIT_S)
            if self._thread.is_alive():  # it may still use the descriptor
                raise EnvironmentProblem(
                    "the ballast is still being allocated", place=str(self._folder)
                )
        if self._descriptor >= 0:
            os.close(self._descriptor)  # which frees an unnamed file
            self._descriptor = -1

    def _top_up(self, limit_s: float) -> None:
        deadline = Deadline(limit_s, self._released)
        before = self._size
        try:
            while deadline.wait(_TOP_UP_PERIOD_S):
                self._grow()
                self.topped_up_bytes = self._size - before
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def _grow(self) -> None:
        """Allocate free space in ever smaller pieces: others allocate and free meanwhile."""
        step = self._wanted()
        for _ in range(_STEPS_MAX):
            if step < PAGE_BYTES:
                return
            try:
                os.posix_fallocate(self._descriptor, self._size, step)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step = _whole_pages(step // 2)
                continue
            self._size += step
            step = self._wanted()

    def _wanted(self) -> int:
        free = free_bytes(self._folder) - self._leave_bytes
        return _whole_pages(min(free, self._limit_bytes - self._size))


def _whole_pages(size_bytes: int) -> int:
    return max(0, size_bytes) // PAGE_BYTES * PAGE_BYTES
