"""disk_readonly: the Watcher's volume has become read-only. Reads work, writes get EROFS.

Done by a read-only cover over the workspace in the stack's own mount namespace
(chaos/sandbox/read_only.py): the volume itself cannot be remounted while a program holds a file
open for writing. So descriptors that were open before still write (the evidence names them), and
so do relative names of a program whose working folder is the workspace (tried, and told in the
evidence). Proven by creating a file, and by opening one for writing that is there: both work
before and get EROFS while it holds. Source: Linux remounts a volume read-only after an error
(`errors=remount-ro`); `mount(2)`.
"""

import contextlib
from pathlib import Path
from typing import Any

from chaos.base import proc
from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.faults.base import Evidence, probe
from chaos.faults.disk.filling import PROBE_PAUSE_S, DiskFault
from chaos.faults.disk.volume import not_own, open_for_writing, require_own, write_and_sync
from chaos.faults.params import Value
from chaos.sandbox.read_only import cover, mounts_on, uncover
from chaos.stack.base import Stack

_SERVICES = ("watcher", "injector", "llm_supervisor")
_NAMED_MAX = 20


class DiskReadonly(DiskFault):
    name = "disk_readonly"
    summary = "the Watcher's volume is read-only: writes get EROFS, reads work"

    _mount_below: int | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._before: dict[str, str] = {}

    def available(self, stack: Stack) -> str | None:
        if not stack.sandboxed:
            return (
                "there is no mount namespace of the stack's own, so the host would be hit; "
                "a run in the sandbox (without --sandbox none) has one"
            )
        if not stack.can_mount:
            return (
                "containers have mounts of their own, without the right to mount: --backend local"
            )
        return not_own(stack)

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self._mount_below = mounts_on(stack.workspace)[-1].number
        self._before = self._tried(stack)
        return {"volume": str(stack.workspace), "mount": self._mount_below, "before": self._before}

    def inject(self, stack: Stack) -> None:
        require_own(stack)
        cover(stack.workspace)

    def _tried(self, stack: Stack) -> dict[str, str]:
        """What creating a file and opening one that is there get: ok, or the error's name."""
        decisions = stack.workspace / stack.target.decisions.path
        tried = {"create": write_and_sync(self.probe_path(stack)).outcome}
        if decisions.exists():
            tried["open_for_writing"] = open_for_writing(decisions)
        return tried

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            now = self._tried(stack)
            measured |= {"now": now, "files_listed": len(list(stack.workspace.iterdir()))}
            refused = set(now.values()) == {"EROFS"} and set(self._before.values()) == {"ok"}
            if not refused or not measured["files_listed"]:
                return False
            measured["writes_refused"] = "EROFS"
            measured["still_writable"] = self._still_writable(stack)
            return True

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0, "before": self._before})

    def _still_writable(self, stack: Stack) -> dict[str, Any]:
        """What the cover does not reach, measured: relative names, and open descriptors."""
        found: dict[str, Any] = {"relative_names": {}, "open_descriptors": []}
        for name in _SERVICES:
            with contextlib.suppress(KeyError):
                pids = stack.service(name).pids()
                if pids and proc.working_folder(pids[0]) == stack.workspace:
                    probe = Path(f"/proc/{pids[0]}/cwd/.chaos_probe_{self.fault_id}")
                    found["relative_names"][name] = write_and_sync(probe).outcome
                found["open_descriptors"] += [
                    f"{name}: {path.relative_to(stack.workspace)}"
                    for pid in pids
                    for path in proc.files_open_for_writing(pid)
                    if path.is_relative_to(stack.workspace)
                ]
        found["open_descriptors"] = found["open_descriptors"][:_NAMED_MAX]
        return found

    def recover(self, stack: Stack) -> None:
        if self._mount_below is None:
            return
        with os_errors_told("the read-only cover cannot be taken off", stack.workspace):
            uncover(stack.workspace, self._mount_below)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            top = mounts_on(stack.workspace)[-1]
            now = self._tried(stack)
            measured |= {"now": now, "mount": top.number, "read_only": top.read_only}
            return set(now.values()) == {"ok"} and top.number == self._mount_below

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0})
