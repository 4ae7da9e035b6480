"""disk_log_flood: a program beside the Watcher writes logs without end until nothing is left.

Done by a process of its own that appends lines to a file in the folder of the Watcher's logs at
`rate` MB/s, and goes on trying when the volume is full. Proven by the blocks that its file takes
by the file system's count: at least half of what rate and time say (or the volume's rest).
Whether the volume got full while it held is shown by the samples, so a rate that is too low for
the hold leaves the triage path untaken. Source: the plan's triage guide, "Disk space exhaustion";
log flooding filled the disk of a real Watcher.
"""

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.faults import program
from chaos.faults.base import Evidence, probe
from chaos.faults.disk.filling import PROBE_PAUSE_S, DiskFault
from chaos.faults.disk.volume import MB, free_bytes, free_mb, not_own, require_own, write_and_sync
from chaos.faults.params import FaultParams, number
from chaos.stack.base import Stack

_PROGRAM = Path(__file__).with_name("flood.py")
_LOOK_AFTER_S = 1.0
_GROWN_PART = 0.5
_REST_PART = 0.9
_OVERTIME_S = 60.0
_END_LIMIT_S = 5.0


class DiskLogFlood(DiskFault):
    name = "disk_log_flood"
    summary = "another program floods the folder of logs until the volume is full"

    class Params(FaultParams):
        rate: Annotated[
            float,
            number(
                "MB written per second; over the hold more than the volume has, to fill it",
                0.1,
                1000,
            ),
        ] = 40.0

    params: Params

    _process: subprocess.Popen[bytes] | None = None
    _start_s = 0.0
    _free_before = 0

    def available(self, stack: Stack) -> str | None:
        return not_own(stack)

    def _file(self, stack: Stack) -> Path:
        """No target's pattern for logs names it: it is not the Watcher's log that grows."""
        logs = stack.target.paths.logs
        folder = (stack.workspace / logs[0]).parent if logs else stack.workspace
        return (folder if folder.is_dir() else stack.workspace) / f"flood_{self.fault_id}.out"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The file that will grow, and what is free. Process and file die with the stack."""
        self._free_before = free_bytes(stack.workspace)
        return {"file": str(self._file(stack)), "free_mb": round(self._free_before / MB, 3)}

    def inject(self, stack: Stack) -> None:
        require_own(stack)
        lifetime_s = self.params.hold + _OVERTIME_S
        self._start_s = time.monotonic()
        words = (self._file(stack), self.params.rate * MB, lifetime_s)
        with os_errors_told("the flood cannot be started", _PROGRAM):
            self._process = program.start(_PROGRAM, *words)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        start_s = self._start_s or time.monotonic()

        def look(measured: dict[str, Any]) -> bool:
            passed_s = time.monotonic() - start_s
            grown = _blocks_bytes(self._file(stack))
            wanted = self.params.rate * MB * passed_s * _GROWN_PART
            measured |= {
                "grown_mb": round(grown / MB, 3),
                "in_s": round(passed_s, 3),
                "asked_mb": round(wanted / MB, 3),
                "free_mb": free_mb(stack.workspace),
            }
            enough = grown >= min(wanted, self._free_before * _REST_PART)
            return passed_s >= _LOOK_AFTER_S and grown > 0 and enough

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0})

    def recover(self, stack: Stack) -> None:
        if self._process is not None:
            if not self.at_end:
                self.at_end = self._seen_at_end(stack)
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_LIMIT_S)
        with os_errors_told("the flood's file cannot be removed", self._file(stack)):
            self._file(stack).unlink(missing_ok=True)

    def _seen_at_end(self, stack: Stack) -> dict[str, Any]:
        write = write_and_sync(self.probe_path(stack))
        return {
            "grown_mb_at_end": round(_blocks_bytes(self._file(stack)) / MB, 3),
            "free_mb_at_end": free_mb(stack.workspace),
            "write_at_end": write.measured(),
        }

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            ended = self._process is None or self._process.poll() is not None
            gone = not self._file(stack).exists()
            write = write_and_sync(self.probe_path(stack))
            measured |= {
                "process_ended": ended,
                "file_gone": gone,
                "write": write.measured(),
                "free_mb": free_mb(stack.workspace),
            }
            return ended and gone and write.ok

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0, **self.at_end})


def _blocks_bytes(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
