"""What a fault is: parameters, and the six steps of its life. Knows no particular kind.

*available? -> ledger -> inject -> effect proven -> hold -> recover -> recovery proven -> ledger
closed*: `lifecycle.py` walks these steps; a kind only says how each is done on a stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from chaos.deadline import Deadline
from chaos.errors import UsageError, unknown_name
from chaos.stack.base import Stack
from chaos.units import duration_s

Value = float | int | str


@dataclass(frozen=True)
class Param:
    """One parameter of a fault as written on the command line (`hold=10s`).

    A `duration` is kept in seconds, whatever unit it was written in. `default` None means:
    not set. `choices` limits a `text`.
    """

    name: str
    kind: Literal["duration", "int", "text"]
    help: str
    default: Value | None = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()

    def parse(self, raw: Value, *, place: str) -> Value:
        """`raw` as this parameter's value; `UsageError` with what was expected."""
        where = f"{place} {self.name}".strip()
        if self.kind == "duration":
            return self._in_range(duration_s(raw, place=where), where)
        if self.kind == "int":
            try:
                number = int(str(raw))
            except ValueError as error:
                raise UsageError(f"{raw!r} is not a whole number", place=where) from error
            return self._in_range(number, where)
        if self.choices and raw not in self.choices:
            raise unknown_name("value", str(raw), self.choices, place=where)
        return str(raw)

    def _in_range(self, number: float | int, where: str) -> float | int:
        low_ok = self.min is None or number >= self.min
        high_ok = self.max is None or number <= self.max
        if low_ok and high_ok:
            return number
        high = "" if self.max is None else f" and at most {self.max:g}"
        raise UsageError(
            f"{number:g} is out of range",
            place=where,
            next_step=f"at least {self.min or 0:g}{high}",
        )


HOLD = Param("hold", "duration", "how long the fault is held", default=10.0, min=0.5, max=86400)
COUNT = Param("count", "int", "how often it strikes in the storm (or give period)", min=1, max=1000)
PERIOD = Param("period", "duration", "strike once per period, at a seeded moment in it", min=1.0)


@dataclass(frozen=True)
class Evidence:
    """What a probe measured: whether it proves the claim, and the measurements themselves."""

    proven: bool
    measured: dict[str, Any]


class Fault(Protocol):
    """One scheduled occurrence of a kind, with its parameters.

    `available` returns the reason why it cannot be injected here, or None. `undo_record` is
    written to the ledger before `inject`; `undo` needs nothing but that record, may be called
    twice, and touches only what the record names. Both probes look for their evidence until
    they have it or the deadline is over.

    `scope` says where the break lives: one of scope `stack` is gone when the stack is gone;
    one of scope `host` outlives it until it is undone.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    scope: ClassVar[Literal["stack", "host"]]
    triage_path: ClassVar[str]  # the path of the plan's triage guide that it exercises
    reconnection_path: ClassVar[str]  # how the Watcher comes back; both named in chaos/paths.py
    params: ClassVar[tuple[Param, ...]]

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None: ...

    def available(self, stack: Stack) -> str | None:
        """Why it cannot be injected here, or None."""

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """What `undo` will need (plain data)."""

    def inject(self, stack: Stack) -> None:
        """Break the stack; returns once the break is in force."""

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Measure that the break is really felt."""

    def recover(self, stack: Stack) -> None:
        """Heal the stack."""

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Measure that the break is over."""

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        """Heal by the record alone, when the run that broke it is gone."""


def parse_params(kind: type[Fault], raw: dict[str, Value], *, place: str) -> dict[str, Value]:
    """Check and convert the parameters written for `kind`; defaults fill what is not given.

    Raises `UsageError` for an unknown name (with the nearest), a bad value, or `count` and
    `period` together.
    """
    known = {param.name: param for param in kind.params}
    for name in raw:
        if name not in known:
            raise unknown_name(f"parameter of {kind.name}", name, known, place=place)
    if "count" in raw and "period" in raw:
        raise UsageError("count and period exclude each other", place=place, next_step="give one")
    values = {p.name: p.default for p in kind.params if p.default is not None}
    values.update({name: known[name].parse(value, place=place) for name, value in raw.items()})
    if "period" not in values:
        values.setdefault("count", 1)
    return values
