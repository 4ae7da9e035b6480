"""gpu_memory_taken: another process allocates memory of the GPU and keeps it.

The process allocates through the CUDA driver. Proven by the driver's management library: the
process holds at least that much. If the driver does not list it (a PID namespace hides its number),
the memory in use must have grown by that much. Source: the plan's triage guide, "VRAM not freed".
"""

import select
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import marked
from chaos.faults import program
from chaos.faults.base import Evidence, probe
from chaos.faults.gpu.look import MB, PAUSE_S, GpuFault, GpuParams, Seen, look
from chaos.faults.params import Value, number
from chaos.stack.base import Stack

_HOLDER = Path(__file__).with_name("gpu_holder.py")
_START_LIMIT_S = 20.0
_OVERTIME_S = 60.0  # how long after its hold the process ends by itself
_SLACK = 0.95  # others may free a little meanwhile


class GpuMemoryTaken(GpuFault):
    name = "gpu_memory_taken"
    summary = "another process holds memory of the GPU"

    class Params(GpuParams):
        mb: Annotated[int, number("MB taken", 64, 1_000_000)] = 1024

    params: Params

    _used_before: int | None = None
    _holder: subprocess.Popen[bytes] | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._bytes = self.params.mb * MB
        self._token = f"chaos-gpu-holder-{uuid.uuid4().hex}"

    def available(self, stack: Stack) -> str | None:
        reason = self.available_here()
        if reason is not None:
            return reason
        seen = look()
        gpu = self._gpu(seen)
        if gpu is None:
            why = f" ({seen.errors['nvml']})" if "nvml" in seen.errors else ""
            return f"the driver does not list GPU {self.params.device}, or not its memory{why}"
        free_bytes = gpu["total_bytes"] - gpu["used_bytes"]
        if free_bytes < self._bytes:
            free_mb, device = free_bytes // MB, self.params.device
            return f"only {free_mb} MB of GPU {device} are free; take less (mb=...)"
        return None

    def _gpu(self, seen: Seen) -> dict[str, Any] | None:
        return seen.gpus[self.params.device] if self.params.device < len(seen.gpus) else None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        gpu = self._gpu(look())
        self._used_before = None if gpu is None else gpu["used_bytes"]
        return {"token": self._token, "used_before": self._used_before}

    def inject(self, stack: Stack) -> None:
        lifetime_s = self.params.hold + _OVERTIME_S
        self._holder = holder = subprocess.Popen(
            program.argv_of(_HOLDER, self.params.device, self._bytes, lifetime_s, self._token),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert holder.stdout is not None
        ready = select.select([holder.stdout], [], [], _START_LIMIT_S)[0]
        answer = holder.stdout.readline().decode(errors="replace").strip() if ready else "nothing"
        if answer != "holding":
            program.end(holder)
            raise EnvironmentProblem(f"GPU memory could not be taken: {answer or 'it ended'}")

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def memory_is_held(measured: dict[str, Any]) -> bool:
            seen = look()
            gpu = self._gpu(seen)
            if gpu is None:
                measured |= seen.measured()
                return False
            measured |= {"used_mb": _mb(gpu["used_bytes"]), "seen_by": self._seen_by(gpu)}
            return bool(measured["seen_by"])

        before = {"attempts": 0, "used_before_mb": _mb(self._used_before)}
        return probe(memory_is_held, deadline, PAUSE_S, before)

    def _seen_by(self, gpu: dict[str, Any]) -> str:
        """What shows that the memory is held: process, device, or nothing ("")."""
        holder = self._holder
        if holder is None or holder.poll() is not None:
            return ""
        wanted = self._bytes * _SLACK
        listed = [h for h in gpu["holders"] if h["pid"] == holder.pid]
        if listed and (listed[0]["used_bytes"] or 0) >= wanted:
            return "process"
        before = self._used_before
        grown = before is not None and gpu["used_bytes"] - before >= wanted
        return "device" if grown and not (listed and listed[0]["used_bytes"] is not None) else ""

    def recover(self, stack: Stack) -> None:
        if self._holder is not None:
            program.end(self._holder)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def memory_is_free(measured: dict[str, Any]) -> bool:
            gpu = self._gpu(look())
            ended = self._holder is None or self._holder.poll() is not None
            if gpu is None or not ended:
                return False
            measured["used_mb"] = _mb(gpu["used_bytes"])
            pid = self._holder.pid if self._holder is not None else 0
            ours = any(h["pid"] == pid for h in gpu["holders"])
            before = self._used_before or 0
            return not ours and gpu["used_bytes"] <= before + self._bytes / 2

        return probe(memory_is_free, deadline, PAUSE_S, {"attempts": 0})

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        for process in marked(str(record["token"])):
            process.send(signal.SIGKILL)


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / MB, 1)
