"""Fault kinds by name: ours, and those that other packages register by entry point.

Every class with a `name` in the folders of the groups is a kind.
"""

import inspect
import pkgutil
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points

from chaos import faults
from chaos.base.errors import UsageError, unknown_name
from chaos.faults.base import GROUPS, Fault

ENTRY_POINT_GROUP = "chaos.faults"


def kinds_of(group: str) -> tuple[type[Fault], ...]:
    """The kinds of one of our groups, by their modules."""
    package = import_module(f"{faults.__name__}.{group}")
    modules = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    return tuple(kind for module in modules for kind in _kinds_in(module.name))


def _kinds_in(name: str) -> list[type[Fault]]:
    return [
        kind
        for kind in vars(import_module(name)).values()
        if isinstance(kind, type)
        and issubclass(kind, Fault)
        and kind.__module__ == name
        and hasattr(kind, "name")
        and not inspect.isabstract(kind)
    ]


def fault_kinds() -> dict[str, type[Fault]]:
    """All kinds by name. An entry point never replaces one of ours.

    Raises `UsageError` for an entry point that is not a fault.
    """
    return {**_others(), **our_kinds()}


@cache
def our_kinds() -> dict[str, type[Fault]]:
    """The kinds that come with the harness."""
    return {kind.name: kind for group in GROUPS if group != "other" for kind in kinds_of(group)}


@cache
def _entry_points(paths: tuple[str, ...]) -> EntryPoints:
    """Those of the packages in `paths`. Reading the metadata of all packages takes 20 ms."""
    return entry_points(group=ENTRY_POINT_GROUP)


def _others() -> dict[str, type[Fault]]:
    kinds = {}
    for entry in _entry_points(tuple(sys.path)):
        try:
            kind = entry.load()
        except Exception as error:  # code of another package may raise anything
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
    """The kind called `name`. Raises `UsageError` with the nearest valid name and the list."""
    kinds = fault_kinds()
    if name not in kinds:
        raise unknown_name("fault", name, [*kinds, "none"], place=place)
    return kinds[name]
