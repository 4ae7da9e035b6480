"""gpu_lost: who opens the GPU from now on finds none; who has it open keeps it.

In the sandbox's own view of the file system /dev/null is mounted over the device node, as when
the host's driver is reloaded under a container. Proven by new processes: one of the two libraries
(management, CUDA) finds fewer GPUs than before, or fails. Recovered by unmounting just that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Fault, Group, Param, Value
from chaos.faults.gpu import look as seeing
from chaos.faults.gpu.look import PAUSE_S, Seen, look, no_gpu
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.sandbox.enter import mount, unmount
from chaos.stack.base import Stack

_MS_BIND = 0x1000


class GpuLost(Fault):
    """See the module."""

    name: ClassVar[str] = "gpu_lost"
    summary: ClassVar[str] = "the GPU is gone for every program that opens it anew"
    group: ClassVar[Group] = "gpu"
    affects_llm: ClassVar[bool] = True  # a server that starts now finds no GPU
    reconnection_path: ClassVar[str] = WORK_RESUMES
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("device", "int", "number of the GPU", default=0, min=0, max=63),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._device = int(values["device"])
        self._before = Seen([], 0, {})

    @property
    def _node(self) -> Path:
        return seeing.DEV / f"nvidia{self._device}"

    @classmethod
    def available_here(cls) -> str | None:
        """With an NVIDIA GPU."""
        return no_gpu()

    def available(self, stack: Stack) -> str | None:
        """In the sandbox, where the GPU can be used just now."""
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
        """The node; and what a new process finds before."""
        self._before = look()
        return {"node": str(self._node), **self._before.measured()}

    def inject(self, stack: Stack) -> None:
        """Cover the node."""
        mount("/dev/null", self._node, "", _MS_BIND)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A new process finds less than before."""
        return self._measure(deadline, wanted_lost=True)

    def recover(self, stack: Stack) -> None:
        """Uncover it, as often as it is covered (by us: nobody else mounts in the sandbox)."""
        for _ in range(4):
            if not _covered(self._node):
                return
            unmount(self._node)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A new process finds as much as before."""
        return self._measure(deadline, wanted_lost=False)

    def _measure(self, deadline: Deadline, *, wanted_lost: bool) -> Evidence:
        measured: dict[str, Any] = {"attempts": 0}
        before = self._before
        measured["before"] = before.measured()
        while not deadline.expired():
            measured["attempts"] += 1
            seen = look()
            measured |= seen.measured()
            lost = len(seen.gpus) < len(before.gpus) or seen.cuda_devices < before.cuda_devices
            if lost == wanted_lost and "probe" not in seen.errors:
                return Evidence(True, measured)
            deadline.wait(PAUSE_S)
        return Evidence(False, measured)


def _covered(node: Path) -> bool:
    """Whether /dev/null stands where the node was."""
    null = Path("/dev/null").stat()
    try:
        return os.path.samestat(node.stat(), null)
    except OSError:
        return False
