"""What a check is: a name, a title, and a pure function. Knows no particular one.

A check is a function `(view, params) -> findings`: pure, no clock, nothing read but the run
directory. What it needs is declared, so that a run that was cut short, or broken by its own
infrastructure, is not held against the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from chaos.base.errors import UsageError
from chaos.checks.finding import BEYOND_THE_PLAN, Finding
from chaos.checks.run_view import RunView

Need = Literal[
    "files",  # the Watcher's files: nothing can be said unless all of them were collected
    "end",  # the whole course of the run: a shortfall in a run cut short proves nothing
    "stack",  # sound infrastructure: an outage of it may explain a failure
]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a criterion, as written in an experiment."""


@dataclass(frozen=True)
class Check:
    """One criterion. `title` are the words of the plan's row, `origin` says which row."""

    name: str
    title: str
    judge: Callable[[RunView, Any], list[Finding]]
    params: type[Params] = Params
    origin: str = BEYOND_THE_PLAN
    needs: frozenset[Need] = frozenset()
    always: bool = False  # judged in every run, whether or not the experiment names it

    def parsed(self, raw: dict[str, Any], *, place: str = "") -> Params:
        """`raw` as this check's parameters; `UsageError` with what was expected."""
        try:
            return msgspec.convert(raw, self.params, strict=False)
        except msgspec.ValidationError as error:
            known = ", ".join(field.name for field in msgspec.structs.fields(self.params))
            raise UsageError(
                f"criterion {self.name}: {error}",
                place=place,
                next_step=f"parameters of {self.name}: {known or 'none'}",
            ) from error


def needs(*names: Need) -> frozenset[Need]:
    """The needs of a check, typed."""
    return frozenset(names)
