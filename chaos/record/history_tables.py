"""Reads `history.jsonl` into records and into the tables that are made from it.

Everything but samples is decoded strictly and kept as records, because it is little. Samples are
many and are read by DuckDB; a history that DuckDB cannot read as it is gets cleaned line by line
first. Reading stops at the first line that is not a record: what stands before it is whole.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from chaos.record.database import Database, quoted
from chaos.record.history import (
    UNREADABLE,
    Event,
    FaultRecord,
    Header,
    Op,
    Phase,
    Record,
    Sample,
    decoded,
)
from chaos.record.signals import GPU_SIGNAL, SERVICE_NAME, SIGNALS, gpu_order, signals_of
from chaos.record.tables import TABLES

_SAMPLE = b'{"kind":"sample",'
_GPU = b'"gpu'
_LINE_BYTES_MAX = 1 << 22  # DuckDB holds several buffers of this size


@dataclass
class History:
    """What stands in a history besides samples. `damage` is "" when it is whole."""

    header: Header = field(default_factory=lambda: Header(t_s=0.0, run_id="", wall_epoch_s=0.0))
    phases: list[tuple[int, Phase]] = field(default_factory=list)
    ops: list[tuple[int, Op]] = field(default_factory=list)
    events: list[tuple[int, Event]] = field(default_factory=list)
    faults: list[tuple[int, FaultRecord]] = field(default_factory=list)
    samples: int = 0
    with_gpus: bool = False
    services: tuple[str, ...] = ()  # of the target; their signals have columns
    lines: int = 0
    end_s: float = 0.0
    torn: bool = False
    damage: str = ""

    def note(self, number: int, record: Record) -> None:
        """Take the record in line `number`."""
        self.lines = number
        self.end_s = max(self.end_s, record.t_s)
        match record:
            case Header():
                self.header = record
            case Phase():
                self.phases.append((number, record))
            case Op():
                self.ops.append((number, record))
            case Event():
                self.events.append((number, record))
            case FaultRecord():
                self.faults.append((number, record))

    def stop_before(self, number: int, damage: str) -> None:
        """Forget line `number` and what comes after it."""
        self.damage = damage
        self.lines = number - 1
        self.phases = [one for one in self.phases if one[0] < number]
        self.ops = [one for one in self.ops if one[0] < number]
        self.events = [one for one in self.events if one[0] < number]
        self.faults = [one for one in self.faults if one[0] < number]


def read_records(path: Path, services: Iterable[str] = ()) -> History:
    """Read all records but the samples, which are only counted. `services`: of the target."""
    history = History(services=tuple(filter(SERVICE_NAME.fullmatch, services)))
    number = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                # A sample holds one object, of numbers and texts; any other shape is decoded.
                flat = line.count(b"{") == 2 and b"[" not in line
                if flat and line.startswith(_SAMPLE) and line.endswith(b"\n"):
                    history.samples += 1
                    history.lines = number
                    history.with_gpus |= _GPU in line
                    continue
                if not line.endswith(b"\n"):
                    history.torn = True  # by a crash; what came before is whole
                    break
                record = decoded(line)
                if isinstance(record, Sample):
                    history.samples += 1
                    history.with_gpus |= _GPU in line
                history.note(number, record)
    except FileNotFoundError:
        history.damage = "history.jsonl is missing: the run was cut off before it began"
    except OSError as error:
        history.damage = f"history.jsonl cannot be read: {error.strerror}"
    except UNREADABLE as error:
        history.damage = f"history.jsonl:{number}: not a history record: {error}"
    return history


def load_moments(database: Database, path: Path, history: History) -> None:
    """Create the table `moments`. A sample that is no record ends `history` before it."""
    database.create(TABLES["moments"])
    if history.samples and (history.damage or history.torn or not _fast(database, path, history)):
        database.run('delete from "moments"')
        _slow(database, path, history)
    (last_s,) = database.run("select max(t_s) from moments")[0]
    history.end_s = max(history.end_s, last_s or 0.0)


def _fast(database: Database, path: Path, history: History) -> bool:
    """Let DuckDB read the file as it is; False where that cannot be."""
    try:
        _insert(database, path, history, "row_number() over ()", ["number"])
    except duckdb.Error:
        return False
    count, known = database.run("select count(*), count(t_s) from moments")[0]
    last = database.run("select max(line) from moments")[0][0]
    return bool(count == known == history.samples and last <= history.lines)


def _slow(database: Database, path: Path, history: History) -> None:
    """Write the samples that can be used into a clean file, and let DuckDB read that."""
    clean = database.folder / "samples.jsonl"
    with path.open("rb") as stream, clean.open("w", encoding="utf-8") as out:
        for number, line in enumerate(stream, start=1):
            if number > history.lines or not line.endswith(b"\n"):
                break
            if b'"sample"' not in line:
                continue
            try:
                record = decoded(line)
            except UNREADABLE as error:
                text = f"history.jsonl:{number}: not a history record: {error}"
                history.stop_before(number, text)
                break
            if isinstance(record, Sample):
                values = {k: v for k, v in record.values.items() if _usable(k, v)}
                entry = {"kind": "sample", "t_s": record.t_s, "values": values, "__line": number}
                out.write(json.dumps(entry) + "\n")
    _insert(database, clean, history, "__line", ["number", "text"])
    clean.unlink()


def _usable(name: str, value: Any) -> bool:
    if name in SIGNALS and SIGNALS[name].type == "text":
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _insert(database: Database, path: Path, history: History, line: str, kinds: list[str]) -> None:
    signals = {s.name: "FLOAT" if s.type == "number" else "VARCHAR" for s in SIGNALS.values()}
    more = [signal.name for service in history.services for signal in signals_of(service)]
    more += _gpu_signals(database, path) if history.with_gpus else []
    for name in more:
        database.run(f'alter table moments add column if not exists "{name}" FLOAT')
    signals |= dict.fromkeys(more, "FLOAT")
    values = ", ".join(f'"{name}" {kind}' for name, kind in signals.items())
    columns = {"kind": "VARCHAR", "t_s": "DOUBLE", "values": f"STRUCT({values})"}
    if line == "__line":
        columns["__line"] = "INTEGER"
    database.run(
        f'insert into moments by name select line, t_s, unnest("values") from (select {line} '
        f"as line, * from {json_lines(path, columns)}) where kind = 'sample'"
    )


def _gpu_signals(database: Database, path: Path) -> list[str]:
    keys = database.run(
        'select distinct unnest(json_keys("values")) from '
        f'{json_lines(path, {"values": "JSON"})} where "values" is not null'
    )
    return sorted((key for (key,) in keys if GPU_SIGNAL.fullmatch(key)), key=gpu_order)


def json_lines(path: Path, columns: dict[str, str], *, tolerant: bool = False) -> str:
    """The table function that reads the JSON lines of `path` with these columns and types.

    `tolerant`: a line that is none has nulls.
    """
    shape = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in columns.items())
    return (
        f"read_json({quoted(str(path))}, format = 'newline_delimited', "
        f"maximum_object_size = {_LINE_BYTES_MAX}, ignore_errors = {str(tolerant).lower()}, "
        f"columns = {{{shape}}})"
    )


def load_records(database: Database, history: History) -> None:
    """Create `phases`, `events`, `ops` and `versions`."""
    begins = [phase.t_s for _, phase in history.phases[1:]]
    ends = [*begins, max(history.end_s, begins[-1] if begins else 0.0)]
    database.create(
        TABLES["phases"],
        [
            {"line": line, "name": phase.name, "begin_s": phase.t_s, "end_s": end_s}
            for (line, phase), end_s in zip(history.phases, ends, strict=False)
        ],
    )
    database.create(TABLES["events"], [_row(line, event) for line, event in history.events])
    database.create(TABLES["ops"], [_row(line, op) for line, op in history.ops])
    database.create(
        TABLES["versions"],
        [
            {
                "line": line,
                "t_s": event.t_s,
                "path": event.detail.get("path"),
                "sha256": event.detail.get("sha256"),
                "valid": not event.detail.get("invalid"),
                "omitted": "omitted_bytes" in event.detail,
                "content": event.detail.get("content"),
            }
            for line, event in history.events
            if event.name == "artefact"
        ],
    )


def _row(line: int, record: Event | Op) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(record)
    return {**found, "line": line}
