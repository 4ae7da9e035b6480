"""Guardrails: the host's limits (memory, disk, descriptors, time) that end a run when crossed.

Only measures. `watch.py` ends the run.
"""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from chaos.plan.experiment import Guardrails
from chaos.witness.process import descriptors

_MB = 1_000_000


@dataclass(frozen=True)
class Tripped:
    """A crossed guardrail: its key in the experiment, the measured value and the limit.

    The key ends in the unit of both numbers.
    """

    name: str
    measured: float
    limit: float

    @property
    def message(self) -> str:
        """One line for the user."""
        return f"guardrail {self.name}: {self.measured:g} measured, the limit is {self.limit:g}"


class Guard:
    """Checks the host against `guardrails`. `run_path` is on the disk that must not fill up."""

    def __init__(self, guardrails: Guardrails, run_path: Path) -> None:
        self._limits = guardrails
        self._run_path = run_path

    def check(self, now_s: float) -> Tripped | None:
        """The first crossed guardrail, or None. `now_s`: seconds since the run began."""
        limits = self._limits
        if now_s > limits.run_budget_s:
            return Tripped("run_budget_s", round(now_s, 1), limits.run_budget_s)
        for name, measured, limit in (
            ("host_memory_available_mb_min", _memory_mb(), limits.host_memory_available_mb_min),
            ("host_disk_free_mb_min", self._disk_mb(), limits.host_disk_free_mb_min),
            ("free_descriptors_min", _free_descriptors(), limits.free_descriptors_min),
        ):
            if measured < limit:
                return Tripped(name, round(measured, 1), limit)
        return None

    def _disk_mb(self) -> float:
        volume = os.statvfs(self._run_path)
        return volume.f_bavail * volume.f_frsize / _MB


def _memory_mb() -> float:
    with Path("/proc/meminfo").open("rb") as stream:
        for line in stream:
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) * 1024 / _MB
    raise OSError("no MemAvailable in /proc/meminfo")


def _free_descriptors() -> float:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return float("inf")
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return soft - descriptors(folder) + 1  # the descriptor of `folder` itself is temporary
    finally:
        os.close(folder)
