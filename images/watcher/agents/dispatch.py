"""Runs the heavy work of a request as a child process that writes to a staging folder only.

The child has a time limit, dies with the daemon, and is killed when the daemon shall stop.
Knows nothing of decisions, publishing or the LLM.
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
FREE_BYTES_MIN = 64 * 1024  # a child that failed with less free space failed for want of it
SHORTAGE_PATIENCE_S = 120.0
# What a program says at its end when it could not have more of something.
_SHORTAGES = {
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
    """How a child ended. `exit_code` is negative for a signal, as in `subprocess`."""

    pid: int
    exit_code: int
    took_s: float
    timed_out: bool
    output_tail: str

    @property
    def ok(self) -> bool:
        """Whether the child says that it did its work."""
        return self.exit_code == 0 and not self.timed_out

    def complaint(self) -> str:
        """One line on why it failed."""
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
        """Runs a child over an empty staging folder.

        Raises Halted (the child is dead then), and OSError when the disk was full or could not
        be written: what the child says about its failure is then no news about its work.
        """
        files.remove_tree(staging)
        staging.mkdir(parents=True)
        result = self._run_child(command, limit_s)
        self._keep_output(command, result)
        if result.ok:
            self._short_since_s = None
        trouble = 0 if result.ok else self._disk_trouble(result) or self._shortage(result)
        if trouble:
            raise OSError(trouble, os.strerror(trouble))
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
        except subprocess.SubprocessError as error:  # `_die_with` had no memory to work with
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
        """Reads the output until the child ends; (ran out of time, end of the output)."""
        tail = b""
        poll = select.poll()
        poll.register(output, select.POLLIN)
        open_output = True
        while open_output or child.poll() is None:
            self._stop.check()
            if time.monotonic() > deadline_s:
                return True, tail
            if not open_output:
                self._stop.pause(0.01)  # output closed: the end is a matter of milliseconds
            elif poll.poll(SLICE_S * 1000):
                chunk = os.read(output.fileno(), TAIL_BYTES)
                tail = (tail + chunk)[-TAIL_BYTES:]
                open_output = bool(chunk)
            elif child.poll() is not None:
                break  # ended, but something it left behind holds the output open
        return False, tail

    def _keep_output(self, command: list[str], result: ChildResult) -> None:
        head = f"=== {files.utc_now()} {' '.join(command[1:])} -> exit {result.exit_code}\n"
        text = ascii(head)[1:-3] + "\n" + result.output_tail
        with contextlib.suppress(OSError):  # a full disk costs this text, not the dispatch
            self._output_log.append(text.rstrip().encode("utf-8", "backslashreplace") + b"\n")
        if not result.ok:
            logger.error("dispatch failed, {}", result.complaint())

    def _disk_trouble(self, result: ChildResult) -> int:
        """The error number of what kept the child from writing; 0 when nothing did."""
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            if os.strerror(number) in result.output_tail:
                return number
        if os.statvfs(self._root).f_flag & os.ST_RDONLY:
            return errno.EROFS
        full = shutil.disk_usage(self._root).free < FREE_BYTES_MIN
        return errno.ENOSPC if full else 0

    def _shortage(self, result: ChildResult) -> int:
        """The error number of what the child had not enough of: memory, descriptors; else 0.

        After `SHORTAGE_PATIENCE_S` it is the child that asks for too much: its failure counts.
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
    """In the child: be killed by the kernel when the daemon dies, however it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the request above


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and what it started, when it still runs."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
