"""Signals of NVIDIA GPUs through NVML: the memory of each GPU and MIG instance, by owner.

`gpu0.used_bytes` and `gpu0mig1.used_bytes` are memory in use. `gpu0.llm_bytes`,
`gpu0.watcher_bytes` and `gpu0.other_bytes` are what the processes of that service hold. Without a
driver or permission the value is absent with a reason, never zero. Three events: `gpu_units` (once:
UUIDs by name), `gpu_lost` and `gpu_back` (at each change). Must not know faults: a check decides
whether one explains a loss.
"""

from typing import Any, Literal, Protocol

from chaos.record.history import Owner
from chaos.witness.base import SourceBase, Values
from chaos.witness.gpu_node import Node
from chaos.witness.gpu_owners import Owners
from chaos.witness.nvml import (
    Holder,
    NoDriver,
    Unit,
    UnknownHolders,
    holders_of,
    means_lost,
    memory_of,
    start,
    units,
)

_PERIOD_S = 0.5
_PIDS_DIFFER = (
    "the driver names a process that is not known here by that number (another process "
    "namespace): judged per device"
)
_SIZE_UNKNOWN = "the driver does not tell how much a process holds: judged per device"


class WriteEvent(Protocol):
    """A function that records an event, such as `HistoryWriter.event`."""

    def __call__(
        self,
        name: str,
        *,
        severity: Literal["info", "warning", "error"] = ...,
        owner: Owner = ...,
        **detail: Any,
    ) -> None:
        """Record it now."""


class GPUs(SourceBase):
    """Memory of each GPU. Opens the driver library once, at the first read.

    `owners` maps processes to services; without it only the devices are measured. `write_event`
    records the events; without it there are none.
    """

    def __init__(self, owners: Owners | None = None, write_event: WriteEvent | None = None) -> None:
        super().__init__("gpu", _PERIOD_S)
        self._owners = owners
        self._write_event = write_event
        self._nvml: Any = None
        self._units: list[Unit] = []
        self._nodes: dict[str, Node] = {}
        self._lost: set[str] = set()
        self._held: dict[str, set[str]] = {}  # unit -> services that have ever held its memory
        self._tried = False

    def _open(self) -> None:
        self._tried = True
        try:
            self._nvml = start()
            self._units, self._absent = units(self._nvml)
        except NoDriver as error:
            self._absent["gpu"] = str(error)
            return
        self._nodes = {unit.name: Node(unit.node) for unit in self._units if unit.node}
        if self._write_event is not None and self._units:
            uuids = {unit.name: unit.uuid for unit in self._units if unit.uuid}
            self._write_event("gpu_units", owner="infrastructure", uuids=uuids)

    def read(self, values: Values) -> None:
        if not self._tried:
            self._open()
        for unit in self._units:
            self._read_unit(unit, values)

    def _read_unit(self, unit: Unit, values: Values) -> None:
        key = f"{unit.name}.used_bytes"
        lost_because = ""
        try:
            values[key] = memory_of(self._nvml, unit)[0]
        except self._nvml.NVMLError as error:
            lost_because = str(error) if means_lost(self._nvml, error) else ""
            hint = "; with MIG on, few users may read the whole GPU"
            self._absent[key] = f"{error}{hint if unit.split and not lost_because else ''}"
        else:
            self._absent.pop(key, None)
        if unit.name in self._nodes:
            lost_because = lost_because or self._nodes[unit.name].lost()
        self._record_change(unit, lost_because)
        if self._owners is not None and not unit.split:
            self._attribute(unit, values, self._owners)

    def _attribute(self, unit: Unit, values: Values, owners: Owners) -> None:
        key = f"{unit.name}.processes"
        try:
            holders = holders_of(self._nvml, unit)
        except UnknownHolders as error:
            self._absent[key] = str(error)
            return
        owner_bytes, reason = _bytes_by_owner(holders, owners)
        if reason:
            self._absent[key] = reason
            return
        self._absent.pop(key, None)
        # Once a service has held GPU memory, report it always, 0 included.
        owners_so_far = self._held.setdefault(unit.name, set())
        owners_so_far.update(owner_bytes)
        for name in owners_so_far:
            values[f"{unit.name}.{name}_bytes"] = owner_bytes.get(name, 0)

    def _record_change(self, unit: Unit, lost_because: str) -> None:
        """Write an event if the unit was lost or came back ("": it is there)."""
        if bool(lost_because) == (unit.name in self._lost):
            return
        self._lost ^= {unit.name}
        if self._write_event is None:
            return
        detail: dict[str, Any] = {"device": unit.name, "node": unit.node}
        if lost_because:
            detail["message"] = f"{unit.name} was lost: {lost_because}"
            # Only a warning: a fault of the run may have caused it.
            self._write_event("gpu_lost", severity="warning", owner="infrastructure", **detail)
        else:
            self._write_event("gpu_back", owner="infrastructure", **detail)

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._units = None, []


def _bytes_by_owner(holders: list[Holder], owners: Owners) -> tuple[dict[str, int], str]:
    """(bytes by owner, "") or ({}, why the owners are unknown)."""
    if any(holder.used_bytes is None for holder in holders):
        return {}, _SIZE_UNKNOWN
    owner_of = owners.of([holder.pid for holder in holders])
    if owner_of is None:
        return {}, _PIDS_DIFFER
    held: dict[str, int] = {}
    for holder in holders:
        owner = owner_of[holder.pid]
        held[owner] = held.get(owner, 0) + (holder.used_bytes or 0)
    return held, ""
