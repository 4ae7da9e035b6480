"""The parameters of faults: declared as structs, parsed from the command line, listed for people.

A kind declares its own in a nested struct, beside those that every kind has::

    class Params(FaultParams):
        rate: Annotated[int, number("1000 bytes per second", 1, 20)] = 1

    params: Params

The annotation has the meaning and the bounds. The default is the field's, None for a parameter
that is not set.
"""

import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from chaos.base.errors import UsageError, unknown_name
from chaos.base.units import LENGTH_MAX_S, duration_s

_SHOWN_MAX = 1e15  # larger numbers would fill the message

Value = float | int | str
Parse = Callable[[Value, str], Value]  # (raw value, its place) -> value; raises `UsageError`


def duration(meaning: str, least_s: float, most_s: float = LENGTH_MAX_S) -> msgspec.Meta:
    """A duration with a unit (`500ms`, `2m`), converted to seconds."""
    return msgspec.Meta(description=meaning, ge=least_s, le=most_s, extra={"kind": "duration"})


def number(meaning: str, least: float, most: float) -> msgspec.Meta:
    """A number; a whole one if the field is an `int`."""
    return msgspec.Meta(description=meaning, ge=least, le=most)


def text(meaning: str, *choices: str, parse: Parse | None = None) -> msgspec.Meta:
    """A text: one of `choices` or of the field's `Literal`. `parse` converts it."""
    return msgspec.Meta(description=meaning, extra={"choices": choices, "parse": parse})


@dataclass(frozen=True)
class Param:
    """One parameter, for lists and for parsing `hold=10s`."""

    name: str
    kind: Literal["duration", "int", "number", "text"]
    help: str
    default: Value | None = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    own_parse: Parse | None = None

    def parse(self, raw: Value, *, place: str) -> Value:
        """Convert `raw`. Raises `UsageError` with what was expected."""
        where = f"{place} {self.name}".strip()
        if self.own_parse is not None:
            return self.own_parse(raw, where)
        if self.kind == "text":
            if self.choices and raw not in self.choices:
                raise unknown_name("value", str(raw), self.choices, place=where)
            return str(raw)
        value = (
            duration_s(raw, place=where) if self.kind == "duration" else self._number(raw, where)
        )
        if (self.min is None or value >= self.min) and (self.max is None or value <= self.max):
            return value
        high = "" if self.max is None else f" and at most {self.max:.9g}"
        raise UsageError(
            f"{f'{value:g}' if abs(value) < _SHOWN_MAX else 'the number'} is out of range",
            place=where,
            next_step=f"at least {self.min or 0:g}{high}",
        )

    def _number(self, raw: Value, where: str) -> int | float:
        whole = self.kind == "int"
        try:
            value = int(str(raw)) if whole else float(str(raw))
            if whole or math.isfinite(value):
                return value
        except ValueError:
            pass
        raise UsageError(f"{raw!r} is not a {'whole ' if whole else ''}number", place=where)


class FaultParams(msgspec.Struct):
    """The parameters of every kind."""

    hold: Annotated[float, duration("how long the fault is held", 0.5, 86400)] = 10.0
    count: Annotated[
        int | None, number("how often it strikes in the storm (or give period)", 1, 1000)
    ] = None
    period: Annotated[
        float | None, duration("strike once per period, at a seeded moment in it", 1)
    ] = None

    def problem(self) -> str:
        """Why these parameters make no sense together; empty if they do."""
        return ""


WEIGHT = Param("weight", "int", "its share of the chance with --strikes", min=1, max=1000)


@cache
def declared(params: type[FaultParams]) -> tuple[Param, ...]:
    """The parameters that `params` declares, in order."""
    hints = get_type_hints(params, include_extras=True)
    return tuple(
        _param(field.name, hints[field.name], field.default)
        for field in msgspec.structs.fields(params)
    )


def _param(name: str, hint: Any, default: Any) -> Param:
    kind, meta = get_args(hint)
    if get_origin(kind) in (Union, types.UnionType):  # with None
        kind = next(arm for arm in get_args(kind) if arm is not type(None))
    extra = meta.extra or {}
    words: dict[Any, Literal["int", "number", "text"]] = {int: "int", float: "number"}
    parse = extra.get("parse")
    return Param(
        name,
        extra.get("kind") or ("text" if parse else words.get(kind, "text")),
        meta.description,
        default,
        meta.ge,
        meta.le,
        extra.get("choices") or (get_args(kind) if get_origin(kind) is Literal else ()),
        parse,
    )
