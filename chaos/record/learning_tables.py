"""Reads the records of draws, telemetry and predictions into tables.

A record over `json('…')` is of a file that is replaced as a whole: each version that was seen
during the run is read. Any other record is of a log, which is read as it was collected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.base.times import parsed_time
from chaos.record.clock import put_back, put_back_one
from chaos.record.daemon_sql import define, expanded
from chaos.record.database import quoted
from chaos.record.record_sql import with_line
from chaos.record.tables import TABLES

if TYPE_CHECKING:
    from chaos.record.history import Event
    from chaos.record.open_run import OpenRun

_VIEW = "learned_rows"
_NEXT = "next"  # as a draw's index: of the draw that comes next
_DIGITS_MAX = 18
Row = dict[str, Any]


def load_draws(run: OpenRun) -> None:
    """Create `draws`; empty where nothing is said."""
    run.database.create(TABLES["draws"])
    record = run.target.records.draws
    if record is None:
        return
    columns = define(run.database, run.files, record.sql, _VIEW)[0]
    value, source = (columns.get(name, "null::varchar") for name in ("value", "source"))
    before = run.target.draws.bootstrap_source
    bootstrap = f"coalesce({source} = {quoted(before)}, false)" if before else "false"
    place = "cast(row_number() over () as integer) - 1"
    position = _whole(columns["position"]) if "position" in columns else place
    run.database.fill(
        f"insert into draws by name select {place} as number, {position} as position, "
        f"{_whole(value)} as value, {bootstrap} as bootstrap from {_VIEW}"
    )


def _whole(column: str) -> str:
    return (
        f"case when regexp_full_match({column}, '-?[0-9]{{1,{_DIGITS_MAX}}}') "
        f"then try_cast({column} as bigint) end"
    )


def load_telemetry(run: OpenRun) -> None:
    """Create `telemetry`: of each version, or line of the log, its last row."""
    rows = [
        {**seen, "model_count": _number(said.get("model_count")), "stamp_s": stamp_s}
        for seen, said, stamp_s in _readings(run, "telemetry", last=True)
    ]
    run.database.create(TABLES["telemetry"], rows)


def load_predictions(run: OpenRun) -> None:
    """Create `predictions`."""
    rows = []
    for seen, said, _ in _readings(run, "predictions", last=False):
        of = str(said.get("draw_index"))
        index = int(of) if of.isascii() and of.isdigit() and len(of) <= _DIGITS_MAX else None
        values = _values(said.get("values"))
        rows.append({**seen, "draw_index": index, "next": of == _NEXT, "values": values})
    run.database.create(TABLES["predictions"], rows)


def _values(said: Any) -> list[Any] | None:
    """The list that is meant: one value stands for a list of one."""
    try:
        found = json.loads(said) if isinstance(said, str) else said
    except (ValueError, RecursionError):
        found = said
    return found if isinstance(found, list) or found is None else [found]


def _readings(run: OpenRun, name: str, *, last: bool) -> Iterator[tuple[Row, Row, float | None]]:
    """(where it was seen, what it says, its time stamp) of each row of the record `name`.

    `last`: only the last row of a version counts. A version without a row has one that says
    nothing.
    """
    record = getattr(run.target.records, name)
    if record is None:
        return
    source = run.target.source(name)
    if not source.document:
        yield from _lines(run, record.sql, source.path)
        return
    sql = expanded(run.database, run.files, record.sql, given=source.path).sql
    for line, event in run.named("artefact"):
        if event.detail.get("path") != source.path:
            continue
        state = "omitted" if "omitted_bytes" in event.detail else "read"
        state = "invalid" if event.detail.get("invalid") else state
        seen = {"ref": f"history.jsonl:{line}", "t_s": event.t_s, "state": state}
        rows = _rows_of(run, sql, event) if state == "read" else []
        for said in (rows[-1:] if last else rows) or [{}]:
            stamp_s = _stamp_s(run, said.get("timestamp"))
            if stamp_s is not None:
                stamp_s = put_back_one(stamp_s, event.t_s, run.jumps)
            yield seen, said, stamp_s


def _rows_of(run: OpenRun, sql: str, event: Event) -> list[Row]:
    content = event.detail.get("content")
    try:
        text = msgspec.json.encode(content).decode()
    except (UnicodeEncodeError, msgspec.MsgspecError):  # half a surrogate pair, or a huge number
        text = json.dumps(content)
    names, rows = run.database.query(sql, {"content": text})
    return [dict(zip(names, row, strict=True)) for row in rows]


def _lines(run: OpenRun, sql: str, path: str) -> Iterator[tuple[Row, Row, float | None]]:
    """The readings of a log. A line of another form is invalid; half a line at its end is not."""
    columns, whole = define(run.database, run.files, with_line(sql), _VIEW)
    names = [name for name in columns if name != "line"]
    wanted = ", ".join([columns.get("line", "null"), *(columns[name] for name in names)])
    rows = run.database.run(f"select {wanted} from {_VIEW}")
    said = [dict(zip(names, row[1:], strict=True)) for row in rows]
    stamps = put_back([_stamp_s(run, entry.get("timestamp")) for entry in said], run.jumps)
    for number, (row, entry, stamp_s) in enumerate(zip(rows, said, stamps, strict=True), start=1):
        ref = f"artefacts/{path}:{row[0] or number}"
        yield {"ref": ref, "t_s": stamp_s, "state": "read"}, entry, stamp_s
    for damage in whole.damaged.get(path, []):
        if damage["problem"] != "torn":
            yield {"ref": f"artefacts/{path}:{damage['line']}", "state": "invalid"}, {}, None


def _stamp_s(run: OpenRun, said: Any) -> float | None:
    """An ISO time stamp or Unix seconds, as run time."""
    unix_s = _number(said)
    if unix_s is None:
        moment = parsed_time(None if said is None else str(said))
        unix_s = None if moment is None else moment.timestamp()
    return None if unix_s is None else round(unix_s - run.epoch_s, 6)


def _number(said: Any) -> float | None:
    try:
        return None if said is None else float(said)
    except (TypeError, ValueError, OverflowError):
        return None
