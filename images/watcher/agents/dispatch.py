"""Runs the heavy work of a request as a child process that writes only to a staging folder.

The child has a timeout, dies with the daemon, and is killed when the daemon must stop. Knows
nothing of decisions, publishing or the LLM.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loguru import logger

from agents import files
from agents.logs import RotatingFile
from agents.request import Request
from agents.stop import SLICE_S, Stop

TAIL_BYTES = 16 * 1024
FREE_BYTES_MIN = 64 * 1024  # with less free space, a child's failure is taken for a full disk
SHORTAGE_PATIENCE_S = 120.0
# The text that a program prints when it cannot get a resource, or its disk fails -> error number.
_SHORTAGES = {
    os.strerror(errno.EIO): errno.EIO,
    os.strerror(errno.EMFILE): errno.EMFILE,
    os.strerror(errno.ENOMEM): errno.ENOMEM,
    "MemoryError": errno.ENOMEM,
    "failed to map segment from shared object": errno.ENOMEM,
}
DISPATCH_NAMES = {"selfplay": "dispatch_selfplay", "learning_loop": "dispatch_learning"}
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ChildResult:
    """The end of a child process. `exit_code` is negative for a signal, as in `subprocess`."""

    pid: int
    exit_code: int
    took_s: float
    timed_out: bool
    output_tail: str

    @property
    def ok(self) -> bool:
        """True if the child ended in time with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    def complaint(self) -> str:
        """One line that says why the child failed."""
        if self.timed_out:
            return f"time limit reached after {self.took_s:.0f} s"
        lines = self.output_tail.strip().splitlines()
        return f"exit {self.exit_code}: {lines[-1][:200] if lines else 'no output'}"


def request_command(request: Request, staging: Path, effort: str) -> list[str]:
    """The child's command line for a request."""
    if request.kind == "selfplay":
        work = ["pipeline.selfplay", "--episodes", str(request.episodes)]
        if request.policy_conditioned:
            work.append("--policy-conditioned")
    else:
        work = ["pipeline.run", "--steps", "3,5,6"]
    common = ["--out", str(staging), "--effort", effort, f"--request={request.name}"]
    return [sys.executable, "-m", *work, *common]


def pipeline_command(steps: str, staging: Path) -> list[str]:
    """The child's command line for pipeline steps run by hand."""
    work = ["pipeline.run", "--steps", steps, "--out", str(staging)]
    return [sys.executable, "-m", *work, "--effort", "normal", "--request=run-pipeline"]


class Dispatcher:
    """Runs children in the workspace, one at a time."""

    def __init__(self, root: Path, stop: Stop, output_log: RotatingFile) -> None:
        self._root = root
        self._stop = stop
        self._output_log = output_log
        self._short_since_s: float | None = None

    def run(self, command: list[str], staging: Path, limit_s: float) -> ChildResult:
        """Runs `command` in the workspace, after emptying the staging folder.

        Raises Halted after killing the child. Raises OSError if the child failed for lack of disk
        space, memory or descriptors, or because the disk is read-only or failed: the caller may
        repeat it.
        """
        files.remove_tree(staging)
        staging.mkdir(parents=True)
        result = self._run_child(command, limit_s)
        self._keep_output(command, result)
        if result.ok:
            self._short_since_s = None
        error_number = 0 if result.ok else self._disk_error(result) or self._shortage(result)
        if error_number:
            raise OSError(error_number, os.strerror(error_number))
        return result

    def _run_child(self, command: list[str], limit_s: float) -> ChildResult:
        began_s = time.monotonic()
        parent = os.getpid()
        try:
            child = subprocess.Popen(
                command,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
            )
        except subprocess.SubprocessError as error:  # `_die_with` could not allocate memory
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        assert child.stdout is not None
        with child.stdout as output:
            try:
                timed_out, tail = self._watch(child, output, began_s + limit_s)
            finally:
                _kill_group(child)
        return ChildResult(
            pid=child.pid,
            exit_code=child.wait(),
            took_s=round(time.monotonic() - began_s, 3),
            timed_out=timed_out,
            output_tail=tail.decode("utf-8", "replace"),
        )

    def _watch(
        self, child: subprocess.Popen[bytes], output: IO[bytes], deadline_s: float
    ) -> tuple[bool, bytes]:
        """Reads the output until the child ends. Returns (timed out, last bytes of the output)."""
        tail = b""
        poll = select.poll()
        poll.register(output, select.POLLIN)
        output_is_open = True
        while output_is_open or child.poll() is None:
            self._stop.check()
            if time.monotonic() > deadline_s:
                return True, tail
            if not output_is_open:
                self._stop.pause(0.01)  # the output is closed: the child ends within milliseconds
            elif poll.poll(SLICE_S * 1000):
                chunk = os.read(output.fileno(), TAIL_BYTES)
                tail = (tail + chunk)[-TAIL_BYTES:]
                output_is_open = bool(chunk)
            elif child.poll() is not None:
                break  # the child ended, but a process it started holds the output open
        return False, tail

    def _keep_output(self, command: list[str], result: ChildResult) -> None:
        head = f"=== {files.utc_now()} {' '.join(command[1:])} -> exit {result.exit_code}\n"
        text = ascii(head)[1:-3] + "\n" + result.output_tail
        with contextlib.suppress(OSError):  # on a full disk this text is lost, not the dispatch
            self._output_log.append(text.rstrip().encode("utf-8", "backslashreplace") + b"\n")
        if not result.ok:
            logger.error("dispatch failed, {}", result.complaint())

    def _disk_error(self, result: ChildResult) -> int:
        """The error number of the disk problem that made the child fail; 0 if there was none."""
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            if os.strerror(number) in result.output_tail:
                return number
        if os.statvfs(self._root).f_flag & os.ST_RDONLY:
            return errno.EROFS
        full = shutil.disk_usage(self._root).free < FREE_BYTES_MIN
        return errno.ENOSPC if full else 0

    def _shortage(self, result: ChildResult) -> int:
        """The error number if the child lacked memory or descriptors, or its disk failed; else 0.

        After `SHORTAGE_PATIENCE_S` it returns 0: the child itself asks for too much, or the disk
        stays as it is, so its failure counts.
        """
        signs = (text for text in _SHORTAGES if text in result.output_tail)
        number = _SHORTAGES.get(next(signs, ""), 0)
        now_s = time.monotonic()
        if not number:
            self._short_since_s = None
        elif self._short_since_s is None:
            self._short_since_s = now_s
        elif now_s - self._short_since_s > SHORTAGE_PATIENCE_S:
            self._short_since_s, number = None, 0
        return number


def _die_with(parent: int) -> None:
    """Runs in the child: asks the kernel for SIGKILL when the daemon dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the daemon died before the prctl call


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kills the child's process group if the child still runs, and reaps the child."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
