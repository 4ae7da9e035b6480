"""disk_log_flood: another program writes log lines until the Watcher's volume is full.

A process appends lines to a file in the folder of the Watcher's logs at `rate` MB/s, and tries
again when the volume is full. Proven by the blocks of that file: at least half of rate times time
(or 90 % of what was free). The samples show whether the volume got full; a rate that is too low
for the hold leaves the triage path untaken. Source: the plan's triage guide, "Disk space
exhaustion"; log flooding filled the disk of a real Watcher.
"""

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
_OVERTIME_S = 60.0  # how long after its hold the program ends by itself


class DiskLogFlood(DiskFault):
    name = "disk_log_flood"
    summary = "another program floods the folder of logs until the volume is full"

    class Params(FaultParams):
        rate: Annotated[
            float, number("MB per second; to fill the volume, above its size / hold", 0.1, 1000)
        ] = 40.0

    params: Params

    _process: subprocess.Popen[bytes] | None = None
    _start_s = 0.0
    _free_before = 0

    def available(self, stack: Stack) -> str | None:
        return not_own(stack)

    def _file(self, stack: Stack) -> Path:
        """A name that no target's pattern for logs matches: the Watcher's own logs do not grow."""
        logs = stack.target.paths.logs
        folder = (stack.workspace / logs[0]).parent if logs else stack.workspace
        return (folder if folder.is_dir() else stack.workspace) / f"flood_{self.fault_id}.out"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The file that will grow, and what is free. Process and file end with the stack."""
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
                self.at_end = {
                    "grown_mb_at_end": round(_blocks_bytes(self._file(stack)) / MB, 3),
                    "free_mb_at_end": free_mb(stack.workspace),
                    "write_at_end": write_and_sync(self.probe_path(stack)).measured(),
                }
            program.end(self._process)
        with os_errors_told("the flood's file cannot be removed", self._file(stack)):
            self._file(stack).unlink(missing_ok=True)

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
