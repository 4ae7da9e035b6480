"""What a check is: a query that returns what is wrong, or a function where a query is not enough.

A check is pure: no clock, nothing read but the opened run. What it depends on is declared, so that
a run that was cut short, or broken by its own infrastructure, is not held against the product.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from chaos.base.errors import UsageError
from chaos.checks.finding import BEYOND_THE_PLAN, EVIDENCE_MAX, Evidence, Finding
from chaos.record.open_run import OpenRun

Dependency = Literal[
    "files",  # the daemon's files: nothing can be said unless all of them were collected
    "end",  # the whole course of the run: a shortfall in a run cut short proves nothing
    "stack",  # sound infrastructure: an outage of it may explain a failure
]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a criterion, as written in an experiment."""


@dataclass(frozen=True)
class Check:
    """One criterion. `title` are the words of the plan's row, `origin` says which row.

    `sql` returns a row (`ref`, `text`) for everything that is wrong: no row is a pass. `facts`
    returns one row whose columns fill the sentences `passed` and `failed`; there `{wrong}` is the
    number of wrong rows. Parameters are `$name` in both. A check that is no such query has `judge`.
    `needs` are tables that must not be empty. `says` are keys of the target without which there is
    no evidence (`Target.says`): then it is not judged. `lacks` returns what the record of a run has
    no evidence of by the nature of the daemon, "" if it has; then it is not judged, either.
    """

    name: str
    title: str
    sql: str = ""
    facts: str = ""
    passed: str = "nothing is wrong"
    failed: str = "{wrong} wrong"
    needs: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    lacks: Callable[[OpenRun], str] | None = None
    judge: Callable[[OpenRun, Any], list[Finding]] | None = None
    params: type[Params] = Params
    origin: str = BEYOND_THE_PLAN
    depends: frozenset[Dependency] = frozenset()
    always: bool = False  # judged in every run, whether or not the experiment names it
    own: bool = False  # of an experiment: what is wrong with it is its author's
    place: str = ""  # where an own check stands
    values: dict[str, Any] = field(default_factory=dict)  # parameters of an own check

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

    def findings(self, run: OpenRun, params: Any) -> list[Finding]:
        """What this check says of `run`; `params` as `parsed` gave them."""
        empty = [name for name in self.needs if not run.one(f"select count(*) from {name}")]
        if empty:
            text = f"not judged: this run has no {' and no '.join(empty)}"
            return [Finding(outcome="inconclusive", summary=text)]
        if self.judge is not None:
            return self.judge(run, params)
        try:
            return [self._queried(run, {**self.values, **msgspec.structs.asdict(params)})]
        except UsageError as error:
            raise UsageError(error.message, place=self.place, next_step=error.next_step) from error

    def _queried(self, run: OpenRun, params: dict[str, Any]) -> Finding:
        if self.own:
            names, rows = run.query(self.sql, params)
            wanted = names.index("ref"), names.index("text")
            wrong = _rows([[row[place] for place in wanted] for row in rows])
        else:
            wrong = evidence_of(run, self.sql, params)
        values: dict[str, Any] = {**params, "wrong": wrong.count}
        if self.facts:
            names, rows = run.query(self.facts, params)
            values |= dict(zip(names, rows[0], strict=True))
        sentence = self.failed if wrong.count else self.passed
        return Finding(
            outcome="fail" if wrong.count else "pass",
            summary=sentence.format(**values),
            measured=wrong.count,
            limit=0,
            evidence=wrong.shown,
            evidence_count=wrong.count,
        )


@dataclass(frozen=True)
class Rows:
    """What a query found: how many rows, and the first of them as evidence."""

    count: int
    shown: list[Evidence]


def evidence_of(run: OpenRun, query: str, parameters: dict[str, Any] | None = None) -> Rows:
    """The rows (`ref`, `text`) of a query, in its order."""
    return _rows(run.sql(query, parameters))


def _rows(rows: list[Any]) -> Rows:
    return Rows(len(rows), [Evidence(str(row[0]), str(row[1])) for row in rows[:EVIDENCE_MAX]])


def depends_on(*names: Dependency) -> frozenset[Dependency]:
    """The dependencies of a check, typed."""
    return frozenset(names)
