"""Fault kinds by name: ours, and those that third parties register by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from chaos.base.errors import UsageError, unknown_name
from chaos.faults import disk, gpu, llm_process, llm_tcp, llm_wire, machine, process, queue
from chaos.faults.base import Fault

ENTRY_POINT_GROUP = "chaos.faults"

_GROUPS = (llm_tcp, llm_wire, llm_process, disk, queue, process, machine, gpu)
_OURS: dict[str, type[Fault]] = {kind.name: kind for group in _GROUPS for kind in group.KINDS}


def fault_kinds() -> dict[str, type[Fault]]:
    """All kinds by name. An entry point never replaces one of ours.

    Raises `UsageError` for an entry point that is not a fault.
    """
    return {**_others(), **_OURS}


def our_kinds() -> dict[str, type[Fault]]:
    """The kinds that come with the harness."""
    return dict(_OURS)


def _others() -> dict[str, type[Fault]]:
    kinds = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            kind = entry.load()
        except Exception as error:  # another party's code: whatever it raises
            raise _unusable(entry.name, entry.value, f"cannot be loaded: {error!r}") from error
        if not (isinstance(kind, type) and issubclass(kind, Fault)):
            raise _unusable(entry.name, entry.value, "is not a subclass of chaos.faults.base.Fault")
        missing = sorted(getattr(kind, "__abstractmethods__", ()))
        missing += [name for name in ("name", "summary") if not hasattr(kind, name)]
        if missing:
            raise _unusable(entry.name, entry.value, f"lacks {', '.join(missing)}")
        kinds[entry.name] = kind
    return kinds


def _unusable(name: str, value: str, what: str) -> UsageError:
    return UsageError(
        f"{value} {what}",
        place=f"entry point {name!r} of {ENTRY_POINT_GROUP}",
        next_step="correct the package that registers it, or uninstall it",
    )


def paths_of(kind: type[Fault]) -> dict[str, str]:
    """The paths that `kind` exists to exercise (`chaos.record.recovery_paths`)."""
    return {"triage": kind.triage_path, "reconnection": kind.reconnection_path}


def fault_kind(name: str, *, place: str = "") -> type[Fault]:
    """The kind called `name`; `UsageError` with the nearest valid name and the list."""
    kinds = fault_kinds()
    if name not in kinds:
        raise unknown_name("fault", name, [*kinds, "none"], place=place)
    return kinds[name]
