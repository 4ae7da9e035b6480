"""Reads the records of the decisions and of their LLM calls into tables.

The target's `select` says which field means what. A missing or odd field is null, never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.record.clock import put_back, put_back_one
from chaos.record.daemon_sql import define
from chaos.record.database import Database, quoted
from chaos.record.record_sql import with_line
from chaos.record.tables import TABLES

if TYPE_CHECKING:
    from chaos.record.open_run import OpenRun

_NOT_TRUE = "('false', 'null', '0', '0.0', '', '[]', '{}')"
_VIEW = "claimed_rows"


def load_decisions(run: OpenRun) -> None:
    """Create `decisions`, `calls`, `written` and `damaged`; all empty where nothing is said."""
    for name in ("decisions", "calls", "written", "damaged"):
        run.database.create(TABLES[name])
    records = run.target.records
    if records.decisions is not None:
        _read_decisions(run, with_line(records.decisions.sql))
    if records.calls is not None:
        _read_calls(run, records.calls.sql)


def _view(run: OpenRun, sql: str) -> dict[str, str]:
    """Make the view of a record; what stands for each column of it, as text."""
    columns, whole = define(run.database, run.files, sql, _VIEW)
    log = run.target.decisions.path
    if log in whole.damaged and not run.database.run("select count(*) from damaged")[0][0]:
        run.database.insert(TABLES["damaged"], whole.damaged[log])
    return columns


def _read_decisions(run: OpenRun, sql: str) -> None:
    columns = _view(run, sql)

    def said(name: str) -> str:
        return columns.get(name, "null::varchar")

    # The log of a daemon with one kind of work says no kind: what names a request is a dispatch.
    dispatch = next((said(n) for n in ("dispatch", "kind") if n in columns), said("request"))
    work, outcomes = run.target.work, run.target.outcomes
    done, refused, selfplay, learning = (
        ", ".join(quoted(value) for value in values) or "null"
        for values in (outcomes.done, outcomes.refused, work.types_selfplay, work.types_learning)
    )
    kind = f"case when {said('kind')} in ({selfplay}) then 'selfplay' "
    kind += f"when {said('kind')} in ({learning}) then 'learning' else {said('kind')} end"
    request = f"regexp_extract({said('request')}, '[^/]*$')"
    number = "row_number() over ()" if "line" not in columns else said("line")
    run.database.fill(
        "insert into decisions by name select "
        f"cast({number} as integer) as line, nullif({said('id')}, '') as id, "
        f"nullif({request}, '') as request, {said('sequence')} as sequence, "
        f"{said('source')} as source, {said('status')} as status, "
        f"coalesce({said('status')} in ({done}), false) as completed, "
        f"coalesce({said('status')} in ({refused}), false) as refused, "
        f"nullif({dispatch}, '') as dispatch, {kind} as kind, "
        f"coalesce({said('fallback')} not in {_NOT_TRUE}, false) as fallback, "
        f"{run_time_s(said('started_at'), run.epoch_s)} as start_s, "
        f"{run_time_s(said('ended_at'), run.epoch_s)} as end_s, "
        f"try_cast({said('child_pid')} as bigint) as child_pid, "
        f"try_cast({said('child_exit')} as bigint) as child_exit from {_VIEW}"
    )
    if "written" in columns:
        shape = quoted('"MAP(VARCHAR, VARCHAR)"')
        run.database.fill(
            "insert into written by name select line, unnest(map_keys(files)) as path, "
            "unnest(map_values(files)) as sha256 from (select "
            f"cast({number} as integer) as line, "
            f"from_json(try_cast({said('written')} as json), {shape}) as files from {_VIEW} "
            f"where json_type(try_cast({said('written')} as json)) = 'OBJECT')"
        )


def _read_calls(run: OpenRun, sql: str) -> None:
    columns = _view(run, sql)

    def said(name: str) -> str:
        return columns.get(name, "null::varchar")

    number = (
        said("number")
        if "number" in columns
        else f"row_number() over (partition by {said('line')})"
    )
    run.database.fill(
        f"insert into calls by name select try_cast({said('line')} as integer) as line, "
        f"cast({number} as integer) as number, "
        f"{run_time_s(said('started_at'), run.epoch_s)} as start_s, "
        f"{run_time_s(said('ended_at'), run.epoch_s)} as end_s, "
        f"coalesce({said('ok')} not in {_NOT_TRUE}, false) as ok, "
        f"try_cast({said('attempts')} as integer) as attempts, {said('answer')} as answer "
        f"from {_VIEW}"
    )
    run.database.run(
        "update decisions set calls = (select count(*) from calls where calls.line = "
        "decisions.line)"
    )


def run_time_s(column: str, epoch_s: float) -> str:
    """SQL for an ISO time stamp (UTC where it names no zone) or Unix seconds, as run time."""
    return (
        f"round(coalesce(try_cast({column} as double), epoch(try_cast({column} as timestamptz))) "
        f"- {epoch_s!r}, 6)"
    )


def put_back_times(database: Database, jumps: Any) -> None:
    """Correct the times of decisions and calls written while the daemon's clock was moved."""
    rows = database.run("select line, start_s, end_s from decisions order by line")
    ends = put_back([end_s for _, _, end_s in rows], jumps)
    near = {line: end_s for (line, _, _), end_s in zip(rows, ends, strict=True)}

    def beside(line: int, stamp_s: float | None) -> float | None:
        end_s = near[line]
        return stamp_s if stamp_s is None or end_s is None else put_back_one(stamp_s, end_s, jumps)

    for line, start_s, _ in rows:
        database.run(
            "update decisions set start_s = ?, end_s = ? where line = ?",
            [beside(line, start_s), near[line], line],
        )
    for line, number, start_s, end_s in database.run(
        "select line, number, start_s, end_s from calls"
    ):
        database.run(
            "update calls set start_s = ?, end_s = ? where line = ? and number = ?",
            [beside(line, start_s), beside(line, end_s), line, number],
        )
