"""gpu_lost: who opens the GPU from now on finds none; who has it open keeps it.

In the sandbox's own view of the file system /dev/null is mounted over the device node, as when
the host's driver is reloaded under a container. Proven by new processes: one of the two libraries
(management, CUDA) finds fewer GPUs than before, or fails. Recovered by unmounting just that.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault, probe
from chaos.faults.gpu import look as seeing
from chaos.faults.gpu.look import PAUSE_S, Seen, look, no_gpu
from chaos.faults.params import FaultParams, Value, number
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.sandbox.enter import mount, unmount
from chaos.stack.base import Stack

_MS_BIND = 0x1000


class GpuLost(Fault):
    name = "gpu_lost"
    summary = "the GPU is gone for every program that opens it anew"
    group = "gpu"
    affects_llm = True  # a server that starts now finds no GPU
    reconnection_path = WORK_RESUMES

    class Params(FaultParams):
        device: Annotated[int, number("number of the GPU", 0, 63)] = 0

    params: Params

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._before = Seen([], 0, {})

    @property
    def _node(self) -> Path:
        return seeing.DEV / f"nvidia{self.params.device}"

    @classmethod
    def available_here(cls) -> str | None:
        return no_gpu()

    def available(self, stack: Stack) -> str | None:
        reason = no_gpu()
        if reason is not None:
            return reason
        if not stack.sandboxed:
            return "without the sandbox the host's GPU would be lost; leave out --sandbox none"
        if not stack.can_mount:
            return (
                "containers have mounts of their own, without the right to mount: --backend local"
            )
        if not self._node.exists():
            return f"there is no {self._node}"
        seen = look()
        if not seen.gpus and not seen.cuda_devices:
            return f"no new program can use a GPU as it is: {seen.errors}"
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self._before = look()
        return {"node": str(self._node), **self._before.measured()}

    def inject(self, stack: Stack) -> None:
        mount("/dev/null", self._node, "", _MS_BIND)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        return self._measure(deadline, wanted_lost=True)

    def recover(self, stack: Stack) -> None:
        """Uncover it, as often as it is covered (by us: nobody else mounts in the sandbox)."""
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
    """True if /dev/null stands where the node was."""
    null = Path("/dev/null").stat()
    try:
        return os.path.samestat(node.stat(), null)
    except OSError:
        return False
