"""The GPU: memory taken by another process, device lost."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.gpu.gpu_lost import GpuLost
from chaos.faults.gpu.gpu_memory_taken import GpuMemoryTaken

KINDS: tuple[type[Fault], ...] = (GpuMemoryTaken, GpuLost)
