"""Fault kinds by name: ours, and those that third parties register by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from chaos.errors import unknown_name
from chaos.faults.base import Fault
from chaos.faults.llm_timeout import LLMTimeout

ENTRY_POINT_GROUP = "chaos.faults"

_OURS: dict[str, type[Fault]] = {LLMTimeout.name: LLMTimeout}


def fault_kinds() -> dict[str, type[Fault]]:
    """All kinds by name. An entry point never replaces one of ours."""
    kinds = {entry.name: entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return {**kinds, **_OURS}


def paths_of(kind: type[Fault]) -> dict[str, str]:
    """The paths that `kind` exists to exercise (chaos/paths.py); for the record of a run."""
    return {"triage": kind.triage_path, "reconnection": kind.reconnection_path}


def fault_kind(name: str, *, place: str = "") -> type[Fault]:
    """The kind called `name`; `UsageError` with the nearest valid name and the list."""
    kinds = fault_kinds()
    if name not in kinds:
        raise unknown_name("fault", name, [*kinds, "none"], place=place)
    return kinds[name]
