"""A DuckDB connection that holds one run and can reach nothing else.

SQL comes from checks, from experiment files and from people; the run may come from anywhere. So the
connection may read the run directory alone, its settings are locked, and memory, temporary space
and time are limited. Knows no table.
"""

import difflib
import json
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import duckdb
import msgspec

from chaos.base.errors import UsageError
from chaos.record.tables import TABLES, Table

MEMORY_MB = 192
_TEMPORARY_GB = 8
QUERY_LIMIT_S = 60.0
Row = tuple[Any, ...]
_NO_TABLE = re.compile(r"Table with name (\w+) does not exist")
_PARAMETER = re.compile(r"\$(\w+)")


class QueryError(UsageError):
    """A query that cannot be answered: wrong, forbidden, too long, or too large."""


class Database:
    """Holds the connection and the folder of its temporary files."""

    def __init__(self, readable: Path) -> None:
        """Only files below `readable` can be read."""
        # Made when it is first needed, so that a short look leaves no trace.
        self._folder = Path(tempfile.gettempdir()) / f"chaos-sql-{os.getpid()}-{token_hex(4)}"
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{MEMORY_MB}MB",
                "temp_directory": str(self._folder),
                "max_temp_directory_size": f"{_TEMPORARY_GB}GB",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "threads": "1",
            },
        )
        allowed = ", ".join(quoted(str(path)) for path in (readable.resolve(), self._folder))
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(f"set allowed_directories = [{allowed}]")
        self._connection.execute("set enable_external_access = false")
        self._connection.execute("set lock_configuration = true")

    def close(self) -> None:
        """Release the memory and the temporary files."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def folder(self) -> Path:
        """A folder for files that only this connection reads; goes with it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._folder

    def create(self, table: Table, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        """Create `table` with `rows` (column name -> value); absent columns are null."""
        if not rows:
            self._connection.execute(table.ddl())
            return
        # One statement: each costs more than the few rows that most tables have.
        self._connection.execute(f'create table "{table.name}" as {_rows_of(table)}', _json(rows))

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add `rows` to `table`."""
        if rows:
            statement = f'insert into "{table.name}" {_rows_of(table)}'
            self._connection.execute(statement, _json(rows))

    def run(self, statement: str, parameters: Any = None) -> list[Row]:
        """Execute a statement of our own; its rows. Of named parameters those in it are taken."""
        if isinstance(parameters, Mapping):
            used = set(_PARAMETER.findall(statement))
            parameters = {key: value for key, value in parameters.items() if key in used}
        return self._connection.execute(statement, parameters or None).fetchall()

    def define(self, name: str, sql: str) -> None:
        """Create or replace the view `name` of a `select` that others wrote."""
        self._select(sql)
        self.fill(f'create or replace temp view "{name}" as {sql}')

    def fill(self, statement: str) -> None:
        """Execute a statement of our own over such a view. Raises `QueryError`."""
        with self._foreign(statement, QUERY_LIMIT_S):
            self._connection.execute(statement)

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit_s: float = QUERY_LIMIT_S,
    ) -> tuple[list[str], list[Row]]:
        """(column names, rows) of one `select` that others wrote. Raises `QueryError`."""
        named = self._select(sql).named_parameters
        used = {key: value for key, value in (parameters or {}).items() if key in named}
        with self._foreign(sql, limit_s):
            cursor = self._connection.execute(sql, used or None)
            names = [column[0] for column in cursor.description or ()]
            return names, cursor.fetchall()

    def _select(self, sql: str) -> Any:
        """The only statement in `sql`, which must be a `select`. Raises `QueryError`."""
        try:
            statements = self._connection.extract_statements(sql)
        except duckdb.Error as error:
            raise _query_error(error, sql) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError(
                "only one `select` statement is allowed: a stored run is never changed",
                place="SQL",
                next_step="write a query that begins with select, with, from or values",
            )
        return statements[0]

    @contextmanager
    def _foreign(self, sql: str, limit_s: float) -> Iterator[None]:
        """SQL of others runs in here: within its time, and its errors are `QueryError`."""
        with self._limited(limit_s) as expired:
            try:
                yield
            except duckdb.InterruptException as error:
                if not expired.is_set():
                    raise
                raise QueryError(
                    f"the query took more than {limit_s:g} s and was stopped",
                    place="SQL",
                    next_step="narrow it with where or limit",
                ) from error
            except duckdb.Error as error:
                raise _query_error(error, sql) from error

    @contextmanager
    def _limited(self, limit_s: float) -> Iterator[threading.Event]:
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            self._connection.interrupt()

        timer = threading.Timer(limit_s, stop)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()


def _json(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    try:
        return [msgspec.json.encode(rows).decode()]
    except (UnicodeEncodeError, msgspec.MsgspecError):  # half a surrogate pair, or a huge number
        return [json.dumps(rows)]


def quoted(text: str) -> str:
    """`text` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


@cache
def _rows_of(table: Table) -> str:
    shape = {
        column.name: ["VARCHAR"] if column.type == "VARCHAR[]" else column.type
        for column in table.columns
    }
    of_type = quoted(json.dumps([shape]))
    return f"select unnest(r) from (select unnest(from_json(?, {of_type})) as r)"


def _query_error(error: duckdb.Error, sql: str) -> QueryError:
    message = str(error).strip()
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(
            f"the query needs more than {MEMORY_MB} MB of memory or {_TEMPORARY_GB} GB of disk",
            place="SQL",
            next_step="select fewer rows or columns",
        )
    if isinstance(error, duckdb.PermissionException):
        message = message.splitlines()[0] + " (only the run directory can be read)"
    step = "`chaos sql --tables` lists the tables and columns"
    if missing := _NO_TABLE.search(message):
        near = difflib.get_close_matches(missing[1], TABLES, n=1)
        message = f"there is no table {missing[1]!r}"
        step = (f"did you mean {near[0]!r}? " if near else "") + step
    return QueryError(
        message,
        place="SQL",
        next_step=step,
    )
