"""What can be seen of the GPUs, each time by a new process. Knows no kind of fault."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEV = Path("/dev")
MB = 1 << 20
PAUSE_S = 0.2
_HERE = Path(__file__).parent
_LIMIT_S = 20.0  # a driver that starts up takes seconds


def script_argv(name: str, *words: object) -> list[str]:
    """The command line of a program beside this file."""
    return [sys.executable, str(_HERE / name), *map(str, words)]


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
    try:
        done = subprocess.run(
            script_argv("gpu_probe.py"),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        told = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Seen([], 0, {"probe": f"{type(error).__name__}: {error}"[:200]})
    errors = {name: str(told[name]["error"]) for name in ("nvml", "cuda") if "error" in told[name]}
    return Seen(told["nvml"].get("gpus", []), int(told["cuda"].get("devices", 0)), errors)
