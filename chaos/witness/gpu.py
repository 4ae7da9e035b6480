"""Signals of NVIDIA GPUs through NVML: memory of each GPU and MIG instance, and who holds it.

`gpu0.used_bytes`, `gpu0mig1.used_bytes`; `gpu0.llm_bytes`, `gpu0.watcher_bytes`,
`gpu0.other_bytes`: what processes of that service hold. No driver, no permission, no such number:
a stated absence, never a zero. Which unit a name stands for is an event, written once (`gpu_units`:
UUIDs by name). That a GPU is lost, and is back, are events (`gpu_lost`, `gpu_back`), written once
each time; whether a fault did it, the judge says.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from chaos.record.history import Owner
from chaos.witness.base import SourceBase, Values
from chaos.witness.gpu_node import Node
from chaos.witness.gpu_owners import Owners
from chaos.witness.nvml import (
    Holder,
    NoDriver,
    Unit,
    Untold,
    holders_of,
    memory_of,
    says_lost,
    start,
    units,
)

_PERIOD_S = 0.5
_NUMBERS_DIFFER = (
    "the driver names a process that is not known here by that number (another process "
    "namespace): judged per device"
)
_SIZE_UNTOLD = "the driver does not tell how much a process holds: judged per device"


class Report(Protocol):
    """Writes an event (`HistoryWriter.event`)."""

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
    """Memory of each GPU. The driver library is opened once, at the first read.

    `owners` says whose a process is (without it, devices only), `report` takes the events.
    """

    def __init__(self, owners: Owners | None = None, report: Report | None = None) -> None:
        super().__init__("gpu", _PERIOD_S)
        self._owners = owners
        self._report = report
        self._nvml: Any = None
        self._units: list[Unit] = []
        self._nodes: dict[str, Node] = {}
        self._lost: set[str] = set()
        self._held: dict[str, set[str]] = {}  # unit -> who has ever held memory of it
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
        if self._report is not None and self._units:
            uuids = {unit.name: unit.uuid for unit in self._units if unit.uuid}
            self._report("gpu_units", owner="infrastructure", uuids=uuids)

    def read(self, values: Values) -> None:
        """Adds the keys of each unit; a GPU that does not answer any more has none."""
        if not self._tried:
            self._open()
        for unit in self._units:
            self._read_unit(unit, values)

    def _read_unit(self, unit: Unit, values: Values) -> None:
        key = f"{unit.name}.used_bytes"
        lost = ""
        try:
            values[key] = memory_of(self._nvml, unit)[0]
        except self._nvml.NVMLError as error:
            lost = str(error) if says_lost(self._nvml, error) else ""
            why = "; with MIG on, the whole is told to few" if unit.split and not lost else ""
            self._absent[key] = f"{error}{why}"
        else:
            self._absent.pop(key, None)
        if unit.name in self._nodes:
            lost = lost or self._nodes[unit.name].lost()
        self._tell(unit, lost)
        if self._owners is not None and not unit.split:
            self._attribute(unit, values, self._owners)

    def _attribute(self, unit: Unit, values: Values, owners: Owners) -> None:
        key = f"{unit.name}.processes"
        try:
            holders = holders_of(self._nvml, unit)
        except Untold as error:
            self._absent[key] = str(error)
            return
        held, why = _by_owner(holders, owners)
        if why:
            self._absent[key] = why
            return
        self._absent.pop(key, None)
        # From its first memory on a service has a number: that it went down to zero is told.
        ever = self._held.setdefault(unit.name, set())
        ever.update(held)
        for name in ever:
            values[f"{unit.name}.{name}_bytes"] = held.get(name, 0)

    def _tell(self, unit: Unit, lost: str) -> None:
        """Write what has changed."""
        if bool(lost) == (unit.name in self._lost):
            return
        self._lost ^= {unit.name}
        if self._report is None:
            return
        detail: dict[str, Any] = {"device": unit.name, "node": unit.node}
        if lost:
            detail["message"] = f"{unit.name} was lost: {lost}"
            # No error yet: when a fault did it, that is what the run is about.
            self._report("gpu_lost", severity="warning", owner="infrastructure", **detail)
        else:
            self._report("gpu_back", owner="infrastructure", **detail)

    def close(self) -> None:
        """Shut the driver library down."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._units = None, []


def _by_owner(holders: list[Holder], owners: Owners) -> tuple[dict[str, int], str]:
    """(bytes by owner, why they cannot be told)."""
    if any(one.used_bytes is None for one in holders):
        return {}, _SIZE_UNTOLD
    whose = owners.of([one.pid for one in holders])
    if whose is None:
        return {}, _NUMBERS_DIFFER
    held: dict[str, int] = {}
    for one in holders:
        held[whose[one.pid]] = held.get(whose[one.pid], 0) + (one.used_bytes or 0)
    return held, ""
