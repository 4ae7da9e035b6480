"""What can be seen of the GPUs, each time by a new process. Knows no kind of fault."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.faults.program import answer_of

DEV = Path("/dev")
MB = 1 << 20
PAUSE_S = 0.2
_PROBE = Path(__file__).with_name("gpu_probe.py")
_LIMIT_S = 20.0  # a driver that starts up takes seconds


def nodes() -> list[Path]:
    """The device nodes of NVIDIA GPUs."""
    return sorted(path for path in DEV.glob("nvidia[0-9]*") if path.name[6:].isdigit())


def no_gpu() -> str | None:
    """Why there is no NVIDIA GPU on this machine, or None. Starts nothing."""
    if nodes():
        return None
    return f"there is no NVIDIA GPU here (no {DEV}/nvidia0); a machine with its driver has one"


@dataclass(frozen=True)
class Seen:
    """What a new process found: the GPUs by the management library, and what CUDA counts."""

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
    """Start a process that looks."""
    text = answer_of(_PROBE, limit_s=_LIMIT_S, options=())
    try:
        found = json.loads(text)
    except ValueError:
        return Seen([], 0, {"probe": text[:200]})
    errors = {
        name: str(found[name]["error"]) for name in ("nvml", "cuda") if "error" in found[name]
    }
    return Seen(found["nvml"].get("gpus", []), int(found["cuda"].get("devices", 0)), errors)
