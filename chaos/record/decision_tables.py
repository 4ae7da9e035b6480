"""Reads the decision log into `decisions`, `calls`, `written` and `damaged`.

The target's selectors say which field means what. DuckDB reads the file as it is where every line
is a JSON object of the usual form; otherwise the lines are cleaned one by one first, and what is no
decision is listed in `damaged`. A missing or odd field is null, never an error.
"""

import json
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from chaos.record.clock import put_back, put_back_one
from chaos.record.database import Database, quoted
from chaos.record.history_tables import json_lines
from chaos.record.tables import TABLES
from chaos.record.target import CallSelector, DecisionLog

LINE_BYTES_MAX = 1 << 20
_CHUNK = 1 << 20
_NOT_TRUE = "('false', 'null', '0', '0.0', '\"\"', '[]', '{}')"


def load_decisions(database: Database, log: DecisionLog, path: Path, epoch_s: float) -> None:
    """Create the four tables from the log at `path`; all empty when it is missing."""
    for name in ("decisions", "calls", "written", "damaged"):
        database.create(TABLES[name])
    if not path.is_file():
        return
    selectors = _top_level(log)
    lines = _whole_lines(path)
    if lines is not None:
        try:
            _read(database, log, json_lines(path, selectors), "row_number() over ()", epoch_s)
            if database.run("select count(*) from decisions")[0][0] == lines:
                return
        except duckdb.Error:
            pass  # not every line is of the usual form: read one by one
        for name in ("decisions", "calls", "written"):
            database.run(f'delete from "{name}"')
    clean = database.folder / "decisions.jsonl"
    database.insert(TABLES["damaged"], _clean(path, clean, selectors))
    if clean.stat().st_size:
        source = json_lines(clean, {**selectors, "__line": "INTEGER"})
        _read(database, log, source, "__line", epoch_s)
    clean.unlink()


def _top_level(log: DecisionLog) -> dict[str, str]:
    """The fields of a line that any selector begins with, all read as JSON."""
    paths = [
        *(log.id, log.request, log.sequence, log.source, log.status, log.dispatch, log.fallback),
        *(log.started, log.timestamp, log.calls, log.child_pid, log.child_exit, log.artefacts),
    ]
    return dict.fromkeys((path.partition(".")[0] for path in paths if path), "JSON")


def _whole_lines(path: Path) -> int | None:
    """How many lines there are; None where a line is empty or the last one is not ended."""
    count, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count if last == b"\n" else None


def _clean(path: Path, clean: Path, selectors: dict[str, str]) -> list[dict[str, Any]]:
    """Write the lines that are JSON objects to `clean`; rows of `damaged` for the others."""
    damaged = []
    number, beginning = 0, True
    with path.open("rb") as stream, clean.open("w", encoding="utf-8") as out:
        while line := stream.readline(LINE_BYTES_MAX):
            ended = line.endswith(b"\n")
            if not beginning:  # the rest of an overlong line
                beginning = ended
                continue
            beginning = ended
            number += 1
            entry = _object(line)
            if entry is not None:
                kept = {name: entry[name] for name in selectors if name in entry}
                out.write(json.dumps({**kept, "__line": number}) + "\n")
            elif line.strip():
                torn = not ended and len(line) < LINE_BYTES_MAX
                problem = "torn" if torn else "not a JSON object"
                damaged.append({"line": number, "problem": problem})
    return damaged


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        entry = msgspec.json.decode(line)
        json.dumps(entry, allow_nan=False).encode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _read(database: Database, log: DecisionLog, source: str, line: str, epoch_s: float) -> None:
    """Fill the tables from the table function `source`; `line` is the line's number in SQL."""
    # A view, read once for each table: a million lines would not fit into memory as they are.
    database.run(
        f"create or replace temp view log as select {line} as line, {_fields(log)} from {source}"
    )
    completed = ", ".join(quoted(status) for status in log.completed)
    kinds = {"selfplay": log.dispatch_selfplay, "learning": log.dispatch_learning}
    cases = " ".join(
        f"when dispatch in ({', '.join(map(quoted, names))}) then {quoted(kind)}"
        for kind, names in kinds.items()
        if names
    )
    database.run(
        "insert into decisions by name select line, nullif(id, '') as id, "
        "nullif(request, '') as request, sequence, source, status, "
        f"coalesce(status in ({completed}), false) as completed, "
        "nullif(dispatch, '') as dispatch, "
        + (f"case {cases} end as kind, " if cases else "")
        + f"coalesce(fallback not in {_NOT_TRUE}, false) as fallback, "
        f"{run_time_s('started', epoch_s)} as start_s, "
        f"{run_time_s('written_at', epoch_s)} as end_s, "
        "len(calls) as calls, try_cast(child_pid as bigint) as child_pid, "
        "try_cast(child_exit as bigint) as child_exit from log"
    )
    if log.call is not None and log.calls:
        _read_calls(database, log.call, epoch_s)
    if log.artefacts:
        shape = quoted('"MAP(VARCHAR, VARCHAR)"')
        database.run(
            "insert into written by name select line, unnest(map_keys(files)) as path, "
            "unnest(map_values(files)) as sha256 from (select line, "
            f"from_json(artefacts, {shape}) as files from log "
            "where json_type(artefacts) = 'OBJECT')"
        )
    database.run("drop view log")


def _fields(log: DecisionLog) -> str:
    """The select list that maps the log's fields onto our words."""
    texts = {
        "id": log.id,
        "request": log.request,
        "sequence": log.sequence,
        "source": log.source,
        "status": log.status,
        "dispatch": log.dispatch,
        "started": log.started,
        "written_at": log.timestamp,
        "child_pid": log.child_pid,
        "child_exit": log.child_exit,
    }
    parts = [f"{_selected(path, text=True)} as {word}" for word, path in texts.items()]
    parts.append(f"cast({_selected(log.fallback)} as varchar) as fallback")
    if log.calls and log.call is not None:
        parts.append(
            f"list_filter(coalesce(json_extract({_selected(log.calls)}, '$[*]'), []), "
            "lambda x: json_type(x) = 'OBJECT') as calls"
        )
    else:
        parts.append("null::json[] as calls")
    parts.append(f"{_selected(log.artefacts)} as artefacts")
    return ", ".join(parts)


def _selected(path: str, *, text: bool = False) -> str:
    """SQL for the value at a dotted path of a line."""
    if not path:
        return "null::varchar" if text else "null::json"
    first, _, rest = path.partition(".")
    inner = "".join(f'."{name}"' for name in rest.split(".")) if rest else ""
    place = quoted("$" + inner)
    return f'"{first}" ->> {place}' if text else f'"{first}" -> {place}'


def _read_calls(database: Database, call: CallSelector, epoch_s: float) -> None:
    fields = {"started": call.started, "ended": call.ended, "outcome": call.outcome}
    fields |= {"attempts": call.attempts} if call.attempts else {}
    fields |= {"answer": call.answer} if call.answer else {}
    selected = ", ".join(
        f"call ->> {quoted('$.' + chr(34) + path + chr(34))} as {word}"
        for word, path in fields.items()
    )
    attempts = "try_cast(attempts as integer)" if call.attempts else "null"
    answer = "answer" if call.answer else "null"
    database.run(
        f"insert into calls by name select line, number, {run_time_s('started', epoch_s)} as "
        f"start_s, {run_time_s('ended', epoch_s)} as end_s, "
        f"coalesce(outcome = {quoted(call.ok)}, false) as ok, {attempts} as attempts, "
        f"{answer} as answer from "
        f"(select line, number, {selected} from (select line, unnest(calls) as call, "
        "generate_subscripts(calls, 1) as number from log))"
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
