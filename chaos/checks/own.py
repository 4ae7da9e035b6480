"""Checks that an experiment brings along: `checks: {NAME: {title, sql, params, needs}}`.

The query returns a row with `ref` and `text` for everything that is wrong; no row is a pass. It is
confined like any query (`chaos.record.database`) and tried on empty tables before a run starts.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.errors import ChaosError, UsageError, unknown_name
from chaos.checks.base import Check
from chaos.checks.registry import all_checks
from chaos.record.tables import TABLES

_EXAMPLE = "select decision_ref(line) as ref, status as text from decisions where not completed"


class OwnCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One check as written in an experiment. `params` are `$name` in `sql`; `passed` and `failed`
    are sentences ({wrong}: number of rows); `needs` names tables that must not be empty.
    """

    title: str
    sql: str
    params: dict[str, float | int | str | bool] = {}
    needs: list[str] = []
    passed: str = "nothing is wrong"
    failed: str = "{wrong} wrong"


def own_check(name: str, raw: Any, *, place: str) -> Check:
    """The check `name` that stands as `raw` at `place`; `UsageError` with what was expected."""
    try:
        written = msgspec.convert(raw, OwnCheck)
    except msgspec.ValidationError as error:
        keys = ", ".join(field.name for field in msgspec.structs.fields(OwnCheck))
        raise UsageError(
            f"check {name}: {error}", place=place, next_step=f"keys of a check: {keys}"
        ) from error
    if name in all_checks():
        raise UsageError(
            f"check {name}: a shipped check has this name", place=place, next_step="rename it"
        )
    for table in written.needs:
        if table not in TABLES:
            raise unknown_name(f"table (check {name}, needs)", table, TABLES, place=place)
    for sentence in (written.passed, written.failed):
        _formatted(name, sentence, written.params, place)
    return Check(
        name=name,
        title=written.title,
        sql=written.sql,
        values=dict(written.params),
        needs=tuple(written.needs),
        passed=written.passed,
        failed=written.failed,
        origin="the experiment",
        own=True,
        place=place,
    )


def _formatted(name: str, sentence: str, params: Mapping[str, Any], place: str) -> None:
    try:
        sentence.format(**params, wrong=0)
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"check {name}: cannot fill {sentence!r}: {error}",
            place=place,
            next_step="use {wrong} and names of `params` only",
        ) from error


def own_checks(raw: Mapping[str, Any], *, place: str) -> tuple[list[Check], dict[str, ChaosError]]:
    """(those that can be asked, what is wrong with each of the others)."""
    good, wrong = [], {}
    for name, written in raw.items():
        try:
            good.append(own_check(name, written, place=f"{place}.{name}"))
        except ChaosError as error:
            wrong[name] = error
    return good, wrong


def try_out(check: Check) -> None:
    """Ask `check` of empty tables; `UsageError` for wrong SQL and for unknown names."""
    from chaos.record.database import Database
    from chaos.record.fault_tables import create_macros

    with tempfile.TemporaryDirectory(prefix="chaos-empty-") as empty:
        database = Database(Path(empty))
        try:
            for table in TABLES.values():
                database.create(table)
            create_macros(database, "decisions.jsonl", "servers.jsonl")
            names, _ = database.query(check.sql, check.values)
        except UsageError as error:
            raise UsageError(
                f"check {check.name}: {error.message}",
                place=check.place,
                next_step=error.next_step,
            ) from error
        finally:
            database.close()
    if not {"ref", "text"} <= set(names):
        raise UsageError(
            f"check {check.name}: its columns are {', '.join(names)}; `ref` and `text` are needed",
            place=check.place,
            next_step=f"for example: {_EXAMPLE}",
        )
