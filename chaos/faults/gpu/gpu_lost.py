"""gpu_lost: programs that open the GPU from now on find none; those that have it open keep it.

In the mount namespace of the sandbox /dev/null is mounted over the device file, as when the host's
driver is reloaded under a container. Proven by new processes: one of the two libraries (management,
CUDA) finds fewer GPUs than before, or fails. Recovered by unmounting.
"""

import os
from pathlib import Path
from typing import Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, PlannedStack, cannot_mount, probe
from chaos.faults.gpu import look as gpus
from chaos.faults.gpu.look import PAUSE_S, GpuFault, GpuParams, Seen, look
from chaos.sandbox.enter import mount, unmount
from chaos.stack.base import Stack

_MS_BIND = 0x1000


class GpuLost(GpuFault):
    name = "gpu_lost"
    summary = "the GPU is gone for every program that opens it anew"
    Params = GpuParams
    params: GpuParams

    _before = Seen([], 0, {})

    @property
    def _node(self) -> Path:
        return gpus.DEV / f"nvidia{self.params.device}"

    def available_in(self, planned: PlannedStack) -> str | None:
        return super().available_in(planned) or _out_of_reach(planned)

    def available(self, stack: Stack) -> str | None:
        reason = self.available_here() or _out_of_reach(stack)
        if reason is not None:
            return reason
        if not self._node.exists():
            return f"there is no {self._node}"
        seen = look()
        if not seen.gpus and not seen.cuda_devices:
            return f"a new program can use no GPU even now: {seen.errors}"
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self._before = look()
        return {"node": str(self._node), **self._before.measured()}

    def inject(self, stack: Stack) -> None:
        mount("/dev/null", self._node, "", _MS_BIND)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self._measure(deadline, wanted_lost=True)

    def recover(self, stack: Stack) -> None:
        """Unmount what covers the device file: nobody but this fault mounts in the sandbox."""
        for _ in range(4):
            if not _covered(self._node):
                return
            unmount(self._node)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self._measure(deadline, wanted_lost=False)

    def _measure(self, deadline: Deadline, *, wanted_lost: bool) -> Evidence:
        before = self._before

        def gpu_is_as_wanted(measured: dict[str, Any]) -> bool:
            seen = look()
            measured |= seen.measured()
            lost = len(seen.gpus) < len(before.gpus) or seen.cuda_devices < before.cuda_devices
            return lost == wanted_lost and "probe" not in seen.errors

        measured = {"attempts": 0, "before": before.measured()}
        return probe(gpu_is_as_wanted, deadline, PAUSE_S, measured)


def _covered(node: Path) -> bool:
    """True if the device file is /dev/null."""
    null = Path("/dev/null").stat()
    try:
        return os.path.samestat(node.stat(), null)
    except OSError:
        return False


def _out_of_reach(stack: Stack | PlannedStack) -> str | None:
    if not stack.sandboxed:
        return "without the sandbox the host's GPU would be lost; leave out --sandbox none"
    return cannot_mount(stack)
