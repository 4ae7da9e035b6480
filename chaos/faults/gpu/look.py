"""What the GPU kinds share: the GPUs as a new process finds them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from chaos.faults.base import Fault, PlannedStack
from chaos.faults.params import FaultParams, number
from chaos.faults.program import answer_of
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Stack

DEV = Path("/dev")
MB = 1 << 20
PAUSE_S = 0.2
_PROBE = Path(__file__).with_name("gpu_probe.py")
_LIMIT_S = 20.0  # a driver that starts up takes seconds


def nodes() -> list[Path]:
    """The device files of NVIDIA GPUs."""
    return sorted(path for path in DEV.glob("nvidia[0-9]*") if path.name[6:].isdigit())


def no_gpu() -> str | None:
    """Why there is no NVIDIA GPU on this machine, or None. Starts nothing."""
    if nodes():
        return None
    return f"there is no NVIDIA GPU here (no {DEV}/nvidia0); a machine with its driver has one"


@dataclass(frozen=True)
class Seen:
    """The GPUs by the management library, the number of GPUs by CUDA, and errors by library."""

    gpus: list[dict[str, Any]]
    cuda_devices: int
    errors: dict[str, str]

    def measured(self) -> dict[str, Any]:
        """As written into the history."""
        return {
            "nvml_devices": len(self.gpus),
            "cuda_devices": self.cuda_devices,
            **{f"{name}_error": text for name, text in self.errors.items()},
        }


def look() -> Seen:
    """Start a process that looks, and return what it found."""
    text = answer_of(_PROBE, limit_s=_LIMIT_S, options=())
    try:
        found = json.loads(text)
    except ValueError:
        return Seen([], 0, {"probe": text[:200]})
    errors = {
        name: str(found[name]["error"]) for name in ("nvml", "cuda") if "error" in found[name]
    }
    return Seen(found["nvml"].get("gpus", []), int(found["cuda"].get("devices", 0)), errors)


class GpuParams(FaultParams):
    device: Annotated[int, number("number of the GPU", 0, 63)] = 0


class GpuFault(Fault):
    """A fault of one GPU. While it holds, a server that starts may find no GPU or memory."""

    group = "gpu"
    affects_llm = True
    reconnection_path = WORK_RESUMES

    @classmethod
    def available_here(cls) -> str | None:
        return no_gpu()

    def settled(self, stack: Stack) -> str | None:
        return self.available(stack)

    def available_in(self, planned: PlannedStack) -> str | None:
        if reason := self.available_here():
            return reason
        return None if planned.gpu else "the containers are given no GPU; add --gpu"
