"""disk_readonly: the Watcher's volume has become read-only. Reads work, writes fail with EROFS.

A read-only cover is mounted over the workspace in the stack's own mount namespace
(chaos/sandbox/read_only.py), because the volume itself cannot be remounted while a file is open
for writing. So descriptors that are already open can still write, and so can relative names of a
program whose working folder is the workspace; the evidence names both. Proven by creating a file
and by opening an existing one for writing: both work before and fail with EROFS while the fault
holds. Source: Linux remounts a volume read-only after an error (`errors=remount-ro`); `mount(2)`.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chaos.base import proc
from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.faults.base import Evidence, PlannedStack, cannot_mount, probe
from chaos.faults.disk.filling import PROBE_PAUSE_S, DiskFault
from chaos.faults.disk.volume import not_own, open_for_writing, require_own, write_and_sync
from chaos.sandbox.read_only import cover, mounts_on, uncover
from chaos.stack.base import Stack

_SERVICES = ("watcher", "injector", "llm_supervisor")
_NAMED_MAX = 20


def _out_of_reach(stack: Stack | PlannedStack) -> str | None:
    if not stack.sandboxed:
        return (
            "there is no mount namespace of the stack's own, so the host would be hit; "
            "a run in the sandbox (without --sandbox none) has one"
        )
    return cannot_mount(stack)


class DiskReadonly(DiskFault):
    name = "disk_readonly"
    summary = "the Watcher's volume is read-only: writes get EROFS, reads work"

    _mount_below: int | None = None
    _before: Mapping[str, str] = MappingProxyType({})

    def available_in(self, planned: PlannedStack) -> str | None:
        return _out_of_reach(planned)

    def available(self, stack: Stack) -> str | None:
        return _out_of_reach(stack) or not_own(stack)

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self._mount_below = mounts_on(stack.workspace)[-1].number
        self._before = before = self._outcomes(stack)
        return {"volume": str(stack.workspace), "mount": self._mount_below, "before": before}

    def inject(self, stack: Stack) -> None:
        require_own(stack)
        cover(stack.workspace)

    def _outcomes(self, stack: Stack) -> dict[str, str]:
        """Create a file and open an existing one for writing: ok, or the name of the error."""
        decisions = stack.workspace / stack.target.decisions.path
        outcomes = {"create": write_and_sync(self.probe_path(stack)).outcome}
        if decisions.is_file():
            outcomes["open_for_writing"] = open_for_writing(decisions)
        return outcomes

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            now = self._outcomes(stack)
            measured |= {"now": now, "files_listed": len(list(stack.workspace.iterdir()))}
            refused = set(now.values()) == {"EROFS"} and set(self._before.values()) == {"ok"}
            if not refused or not measured["files_listed"]:
                return False
            measured["writes_refused"] = "EROFS"
            measured["still_writable"] = self._still_writable(stack)
            return True

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0, "before": dict(self._before)})

    def _still_writable(self, stack: Stack) -> dict[str, Any]:
        """What the cover does not reach: relative names, and open descriptors."""
        relative_names: dict[str, str] = {}
        open_descriptors: list[str] = []
        for name in _SERVICES:
            with contextlib.suppress(KeyError):
                pids = stack.service(name).pids()
                if pids and proc.working_folder(pids[0]) == stack.workspace:
                    probe = Path(f"/proc/{pids[0]}/cwd/.chaos_probe_{self.fault_id}")
                    relative_names[name] = write_and_sync(probe).outcome
                open_descriptors += [
                    f"{name}: {path.relative_to(stack.workspace)}"
                    for pid in pids
                    for path in proc.files_open_for_writing(pid)
                    if path.is_relative_to(stack.workspace)
                ]
        return {
            "relative_names": relative_names,
            "open_descriptors": open_descriptors[:_NAMED_MAX],
        }

    def recover(self, stack: Stack) -> None:
        if self._mount_below is None:
            return
        with os_errors_told("the read-only cover cannot be taken off", stack.workspace):
            uncover(stack.workspace, self._mount_below)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            top = mounts_on(stack.workspace)[-1]
            now = self._outcomes(stack)
            measured |= {"now": now, "mount": top.number, "read_only": top.read_only}
            return set(now.values()) == {"ok"} and top.number == self._mount_below

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0})
