"""Limits of the machine: memory, processor, descriptors, clock."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.machine.watcher_clock_jump import WatcherClockJump
from chaos.faults.machine.watcher_cpu_starved import WatcherCpuStarved
from chaos.faults.machine.watcher_fd_limit import WatcherFdLimit
from chaos.faults.machine.watcher_memory_limit import WatcherMemoryLimit

KINDS: tuple[type[Fault], ...] = (
    WatcherMemoryLimit,
    WatcherCpuStarved,
    WatcherFdLimit,
    WatcherClockJump,
)
