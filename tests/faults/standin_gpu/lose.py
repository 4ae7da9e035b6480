"""Run in a mount namespace of its own: lives gpu_lost on the stand-in GPU, twin first.

What the sampler, which had the GPU open before, tells of it is found as well.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from chaos.base.deadline import Deadline
from chaos.faults.base import noop_twin, parse_params
from chaos.faults.gpu import look
from chaos.faults.gpu.gpu_lost import GpuLost
from chaos.stack.base import Stack
from chaos.witness import nvml
from chaos.witness.gpu import GPUs


def main() -> dict[str, Any]:
    """What each step found."""
    look.DEV = Path(os.environ["STANDIN_GPU"], "dev")
    nvml.NODES = str(look.DEV / "nvidia")
    told: list[str] = []
    sampled = GPUs(write_event=lambda name, **_: told.append(name))
    stack = cast(Stack, SimpleNamespace(sandboxed=True, can_mount=True))  # all it asks
    found: dict[str, Any] = {}
    for name, kind in (("twin", noop_twin(GpuLost)), ("fault", GpuLost)):
        fault = kind("f001", parse_params(kind, {}, place="test"))
        found[f"{name} available"] = fault.available(stack)
        fault.undo_record(stack)
        sampled.read({})
        fault.inject(stack)
        sampled.read({})
        found[f"{name} effect"] = fault.effect(stack, Deadline(2 if name == "twin" else 30)).proven
        if name == "fault":
            found["no early recovery"] = not fault.recovered(stack, Deadline(1)).proven
        fault.recover(stack)
        fault.recover(stack)
        sampled.read({})
        found[f"{name} sampled"], told[:] = list(told), []
        found[f"{name} recovered"] = fault.recovered(stack, Deadline(30)).proven
    return found


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
