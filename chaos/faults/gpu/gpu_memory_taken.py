"""gpu_memory_taken: another process takes memory of the GPU, and keeps it.

Done by a process that really allocates through the CUDA driver. Proven by the driver's management
library: that process holds at least so much; where the driver does not list it (in a process
namespace of its own it is known by another number), the memory in use has grown by so much since
before. Source: the plan's triage guide, "VRAM not freed".
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import uuid
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Fault, Group, Param, Value
from chaos.faults.gpu.look import MB, PAUSE_S, Seen, look, no_gpu, script_argv
from chaos.faults.process.identity import Identity
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Stack

_START_LIMIT_S = 20.0
_END_LIMIT_S = 5.0
_OUTLIVES_S = 60.0  # then it ends by itself, whatever has become of us
_SLACK = 0.95  # others may free a little meanwhile


class GpuMemoryTaken(Fault):
    """See the module."""

    name: ClassVar[str] = "gpu_memory_taken"
    summary: ClassVar[str] = "another process holds memory of the GPU"
    group: ClassVar[Group] = "gpu"
    affects_llm: ClassVar[bool] = True  # a server that starts now may find too little
    reconnection_path: ClassVar[str] = WORK_RESUMES
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("mb", "int", "MB taken", default=1024, min=64, max=1_000_000),
        Param("device", "int", "number of the GPU", default=0, min=0, max=63),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._bytes = int(values["mb"]) * MB
        self._device = int(values["device"])
        self._lifetime_s = float(values.get("hold", 0.0)) + _OUTLIVES_S
        self._token = f"chaos-gpu-holder-{uuid.uuid4().hex}"
        self._used_before: int | None = None
        self._holder: subprocess.Popen[bytes] | None = None

    @classmethod
    def available_here(cls) -> str | None:
        """With an NVIDIA GPU."""
        return no_gpu()

    def available(self, stack: Stack) -> str | None:
        """Where the driver answers and that much is free."""
        reason = no_gpu()
        if reason is not None:
            return reason
        seen = look()
        gpu = self._gpu(seen)
        if gpu is None:
            why = f" ({seen.errors['nvml']})" if "nvml" in seen.errors else ""
            return f"the driver does not list GPU {self._device}, or not its memory{why}"
        free_bytes = gpu["total_bytes"] - gpu["used_bytes"]
        if free_bytes < self._bytes:
            return f"only {free_bytes // MB} MB of GPU {self._device} are free; take less (mb=...)"
        return None

    def _gpu(self, seen: Seen) -> dict[str, Any] | None:
        return seen.gpus[self._device] if self._device < len(seen.gpus) else None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The mark of the process, and what is in use before."""
        gpu = self._gpu(look())
        self._used_before = None if gpu is None else gpu["used_bytes"]
        return {"token": self._token, "used_before": self._used_before}

    def inject(self, stack: Stack) -> None:
        """Start the process and wait until it says that it holds the memory."""
        self._holder = holder = subprocess.Popen(
            script_argv("gpu_holder.py", self._device, self._bytes, self._lifetime_s, self._token),
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
        """Our process holds it, or else that much more is in use than before."""
        measured: dict[str, Any] = {"attempts": 0, "used_before_mb": _mb(self._used_before)}
        while not deadline.expired():
            measured["attempts"] += 1
            seen = look()
            gpu = self._gpu(seen)
            if gpu is None:
                measured |= seen.measured()
            else:
                measured["used_mb"] = _mb(gpu["used_bytes"])
                measured["seen_by"] = self._seen_by(gpu)
                if measured["seen_by"]:
                    return Evidence(True, measured)
            deadline.wait(PAUSE_S)
        return Evidence(False, measured)

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
        """End the process; the driver frees what it held."""
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
        """The process is gone and so is the memory in its name; half of it at least is free."""
        measured: dict[str, Any] = {"attempts": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            gpu = self._gpu(look())
            ended = self._holder is None or self._holder.poll() is not None
            if gpu is not None and ended:
                measured["used_mb"] = _mb(gpu["used_bytes"])
                pid = self._holder.pid if self._holder is not None else 0
                ours = any(one["pid"] == pid for one in gpu["holders"])
                before = self._used_before or 0
                if not ours and gpu["used_bytes"] <= before + self._bytes / 2:
                    return Evidence(True, measured)
            deadline.wait(PAUSE_S)
        return Evidence(False, measured)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        """End the process that carries the mark."""
        wanted = str(record["token"]).encode()
        for name in os.listdir("/proc"):  # noqa: PTH208
            process = Identity.of(int(name)) if name.isdigit() else None
            if process is not None and wanted in process.command().split(b"\0"):
                process.send(signal.SIGKILL)


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / MB, 1)
