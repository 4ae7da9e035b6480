"""Guardrails: the host's limits (memory, disk, descriptors, time) that end a run when crossed.

Only measures. `watch.py` ends the run.
"""

import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

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
            (
                "host_memory_available_mb_min",
                memory_available_mb(),
                limits.host_memory_available_mb_min,
            ),
            ("host_disk_free_mb_min", disk_free_mb(self._run_path), limits.host_disk_free_mb_min),
            ("free_descriptors_min", _free_descriptors(), limits.free_descriptors_min),
        ):
            if measured < limit:
                return Tripped(name, round(measured, 1), limit)
        return None


def disk_free_mb(path: Path) -> float:
    """Free disk space for this user at `path`, in MB (10^6 bytes)."""
    return shutil.disk_usage(path).free / _MB


def memory_available_mb() -> float:
    """Memory that programs can still get on this host, in MB (10^6 bytes)."""
    return psutil.virtual_memory().available / _MB


def _free_descriptors() -> float:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return float("inf")
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return soft - descriptors(folder) + 1  # the descriptor of `folder` itself is temporary
    finally:
        os.close(folder)
