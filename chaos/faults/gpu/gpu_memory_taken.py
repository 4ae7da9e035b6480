"""gpu_memory_taken: another process takes memory of the GPU, and keeps it.

Done by a process that really allocates through the CUDA driver. Proven by the driver's management
library: that process holds at least so much; where the driver does not list it (in a process
namespace of its own it is known by another number), the memory in use has grown by so much since
before. Source: the plan's triage guide, "VRAM not freed".
"""

import contextlib
import select
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import marked
from chaos.faults.base import Evidence, Fault, probe
from chaos.faults.gpu.look import MB, PAUSE_S, Seen, look, no_gpu
from chaos.faults.params import FaultParams, Value, number
from chaos.faults.program import argv_of
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Stack

_HOLDER = Path(__file__).with_name("gpu_holder.py")
_START_LIMIT_S = 20.0
_END_LIMIT_S = 5.0
_OUTLIVES_S = 60.0  # then it ends by itself, whatever has become of us
_SLACK = 0.95  # others may free a little meanwhile


class GpuMemoryTaken(Fault):
    name = "gpu_memory_taken"
    summary = "another process holds memory of the GPU"
    group = "gpu"
    affects_llm = True  # a server that starts now may find too little
    reconnection_path = WORK_RESUMES

    class Params(FaultParams):
        mb: Annotated[int, number("MB taken", 64, 1_000_000)] = 1024
        device: Annotated[int, number("number of the GPU", 0, 63)] = 0

    params: Params

    _used_before: int | None = None
    _holder: subprocess.Popen[bytes] | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._bytes = self.params.mb * MB
        self._token = f"chaos-gpu-holder-{uuid.uuid4().hex}"

    @classmethod
    def available_here(cls) -> str | None:
        return no_gpu()

    def available(self, stack: Stack) -> str | None:
        reason = no_gpu()
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
        lifetime_s = self.params.hold + _OUTLIVES_S
        self._holder = holder = subprocess.Popen(
            argv_of(_HOLDER, self.params.device, self._bytes, lifetime_s, self._token),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert holder.stdout is not None
        ready = select.select([holder.stdout], [], [], _START_LIMIT_S)[0]
        said = holder.stdout.readline().decode(errors="replace").strip() if ready else "nothing"
        if said != "holding":
            self._end()
            raise EnvironmentProblem(f"GPU memory could not be taken: {said or 'it ended'}")

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def memory_is_held(measured: dict[str, Any]) -> bool:
            seen = look()
            gpu = self._gpu(seen)
            if gpu is None:
                measured |= seen.measured()
                return False
            measured["used_mb"] = _mb(gpu["used_bytes"])
            measured["seen_by"] = self._seen_by(gpu)
            return bool(measured["seen_by"])

        before = {"attempts": 0, "used_before_mb": _mb(self._used_before)}
        return probe(memory_is_held, deadline, PAUSE_S, before)

    def _seen_by(self, gpu: dict[str, Any]) -> str:
        """How the memory is seen to be held: process, device, or not at all."""
        holder = self._holder
        if holder is None or holder.poll() is not None:
            return ""
        wanted = self._bytes * _SLACK
        listed = [one for one in gpu["holders"] if one["pid"] == holder.pid]
        if listed and (listed[0]["used_bytes"] or 0) >= wanted:
            return "process"
        before = self._used_before
        grown = before is not None and gpu["used_bytes"] - before >= wanted
        return "device" if grown and not (listed and listed[0]["used_bytes"] is not None) else ""

    def recover(self, stack: Stack) -> None:
        self._end()

    def _end(self) -> None:
        holder = self._holder
        if holder is None:
            return
        holder.kill()
        for stream in (holder.stdin, holder.stdout):
            if stream is not None:
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            holder.wait(_END_LIMIT_S)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def memory_is_free(measured: dict[str, Any]) -> bool:
            gpu = self._gpu(look())
            ended = self._holder is None or self._holder.poll() is not None
            if gpu is None or not ended:
                return False
            measured["used_mb"] = _mb(gpu["used_bytes"])
            pid = self._holder.pid if self._holder is not None else 0
            ours = any(one["pid"] == pid for one in gpu["holders"])
            before = self._used_before or 0
            return not ours and gpu["used_bytes"] <= before + self._bytes / 2

        return probe(memory_is_free, deadline, PAUSE_S, {"attempts": 0})

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        for process in marked(str(record["token"])):
            process.send(signal.SIGKILL)


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / MB, 1)
