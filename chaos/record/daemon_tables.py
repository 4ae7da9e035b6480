"""Reads the daemon's collected files into tables, through the selectors of its target.

Tolerant by design: what is missing, torn or no JSON is null or absent, for the checks to judge.
Names of files that are no UTF-8 are written out (`A\\udcff.json`), as the history does.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.base.foreign import written_out
from chaos.record.clock import put_back
from chaos.record.database import Database, quoted
from chaos.record.decision_tables import load_decisions, put_back_times, run_time_s
from chaos.record.fault_tables import mark_faults
from chaos.record.learning_tables import load_draws, load_predictions, load_telemetry
from chaos.record.tables import TABLES
from chaos.record.work import PLACES

if TYPE_CHECKING:
    from chaos.record.open_run import OpenRun

_UNREADABLE = (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_ROWS = 8192
_PLAN_TYPES = {"selfplay": "selfplay", "learning_loop": "learning"}
# Stamps of another time zone: what zones differ by, and how exactly a decision is seen to come.
_ZONE_S = 900.0
_ZONE_SLACK_S = 30.0


def loaders(run: OpenRun) -> dict[tuple[str, ...], Callable[[], None]]:
    """Names of tables -> what creates them."""
    return {
        ("decisions", "calls", "written", "damaged"): lambda: _decisions(run),
        ("files",): lambda: _files(run),
        ("diagnostics", "emitted"): lambda: _diagnostics(run),
        ("draws",): lambda: load_draws(run),
        ("telemetry",): lambda: load_telemetry(run),
        ("predictions",): lambda: load_predictions(run),
        ("candidates",): lambda: _candidates(run),
        ("request_types",): lambda: _request_types(run),
        ("servers",): lambda: _servers(run),
    }


def scanned(root: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """(folder, name) of each file below `root` that matches the glob, unsorted. Hidden ones are
    left out; `folder` ends in "/" unless it is empty. One at a time: a folder may hold a million.
    """
    folder, slash, wanted = pattern.rpartition("/")
    if set(folder) & set("*?["):
        for path in root.glob(pattern):
            if path.is_file() and not path.name.startswith("."):
                yield f"{path.parent.relative_to(root)}/", path.name
        return
    matches = re.compile(fnmatch.translate(wanted)).match
    try:
        entries = os.scandir(root / folder)
    except OSError:
        return
    with entries:
        for entry in entries:
            if matches(entry.name) and not entry.name.startswith(".") and entry.is_file():
                yield folder + slash, entry.name


def _decisions(run: OpenRun) -> None:
    load_decisions(run)
    if run.jumps:
        put_back_times(run.database, run.jumps)
    elif ahead_s := run.once("time zone", _zone_ahead_s):
        for table in ("decisions", "calls"):
            run.database.run(
                f"update {table} set start_s = start_s - $ahead_s, end_s = end_s - $ahead_s",
                {"ahead_s": ahead_s},
            )
    mark_faults(run.database, "decisions", "end_s")


def _zone_ahead_s(run: OpenRun) -> float:
    """How far the daemon's stamps are ahead because they are of another time zone; 0.0 if they are
    not.

    By when its decisions were seen in its log. Zones differ by quarters of an hour; anything else
    is no zone, and stays as it is written.
    """
    run.load(("moments",))
    apart_s = run.database.run(
        'select median(d.end_s - m.t_s) from decisions d asof join (select "decisions.lines" as '
        'lines, min(t_s) as t_s from moments where "decisions.lines" > 0 group by lines) m '
        "on m.lines >= d.line where d.end_s is not null"
    )
    if apart_s[0][0] is None:
        return 0.0
    ahead_s = _ZONE_S * round(apart_s[0][0] / _ZONE_S)
    return ahead_s if abs(apart_s[0][0] - ahead_s) <= _ZONE_SLACK_S else 0.0


def _in_parts(database: Database, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Create `table` from `rows`, a few thousand at a time."""
    database.create(TABLES[table], list(itertools.islice(rows, _ROWS)))
    while part := list(itertools.islice(rows, _ROWS)):
        database.insert(TABLES[table], part)


def _files(run: OpenRun) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        work, refusals = run.target.work, run.target.outcomes.refused
        globs = work.places()
        for place in PLACES:
            for folder, name in scanned(run.files, globs[place]) if place in globs else ():
                known = written_out(name)
                request = work.request_of(known, place)
                if not request and place != "archived":
                    continue  # a file of another kind beside the requests
                refused = place == "archived" and work.status_of(known) in refusals
                row = {"path": folder + known, "place": place, "name": request or known}
                yield {**row, "refused": refused}

    _in_parts(run.database, "files", rows())
    # A request with a lock beside it is claimed.
    run.database.run(
        "delete from files where place = 'pending' and name in (select name from files "
        "where place = 'claimed' and name <> parse_filename(path))"
    )
    # A note beside a file that was set aside says why; it is no request.
    run.database.run(
        "delete from files where place = 'quarantined' and name like '%.reason.json' and "
        "name[:-13] in (select name from files where place = 'quarantined')"
    )


def _diagnostics(run: OpenRun) -> None:
    of = run.target.paths
    found = scanned(run.files, of.diagnostics) if of.diagnostics else ()
    paths = sorted(folder + name for folder, name in found)
    diagnostics: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    database = run.database
    database.create(TABLES["diagnostics"])
    database.create(TABLES["emitted"])
    database.run("create temp table stamps (path varchar, stamp varchar)")
    for path in paths:
        try:
            entry = msgspec.json.decode((run.files / path).read_bytes())
        except _UNREADABLE:
            entry = None  # a diagnosis all the same, that names nothing
        entry = entry if isinstance(entry, dict) else {}
        known = written_out(path)
        stamp = entry.get(of.diagnostics_timestamp)
        diagnostics.append(
            {
                "path": known,
                "stamp": None if stamp is None else str(stamp),
                "draw": _number(entry.get(of.diagnostics_draw)) if of.diagnostics_draw else None,
            }
        )
        requests = entry.get(of.diagnostics_requests) if of.diagnostics_requests else None
        requests = [requests] if requests and isinstance(requests, str) else requests
        for name in requests if isinstance(requests, list) else []:
            text = written_out("" if name is None else str(name))
            named.append({"name": text, "source": "diagnostics", "ref": known})
    _stamped(run, diagnostics, named)
    run.database.insert(TABLES["emitted"], [*_submitted(run), *_by_faults(run)])


def _stamped(run: OpenRun, diagnostics: list[dict[str, Any]], named: list[dict[str, Any]]) -> None:
    """Fill both tables, with the time stamps of the files as run time."""
    database = run.database
    times: dict[str, float | None] = dict(
        database.run(
            f"select path, {run_time_s('stamp', run.epoch_s)} from (select unnest(r) from (select "
            'unnest(from_json(?, \'[{"path":"VARCHAR","stamp":"VARCHAR"}]\')) as r))',
            [msgspec.json.encode(diagnostics).decode()],
        )
    )
    ordered = [times[row["path"]] for row in diagnostics]
    if run.jumps:
        ordered = put_back(ordered, run.jumps)
    else:
        run.load(("decisions",))
        ahead_s = run.once("time zone", _zone_ahead_s)
        ordered = [None if t_s is None else t_s - ahead_s for t_s in ordered]
    by_path = {row["path"]: t_s for row, t_s in zip(diagnostics, ordered, strict=True)}
    for row in diagnostics:
        row["t_s"] = by_path[row["path"]]
    database.insert(TABLES["diagnostics"], diagnostics)
    for row in named:
        path = row["ref"]
        row |= {"t_s": by_path[path], "ref": f"artefacts/{path}", "text": f"{row['name']} emitted"}
    database.insert(TABLES["emitted"], named)


def _submitted(run: OpenRun) -> list[dict[str, Any]]:
    """Requests that the harness has surely submitted."""
    return [
        {
            "name": written_out(op.id),
            # Two submissions may share a microsecond, and never a line.
            "t_s": op.t_s + line * 1e-9,
            "source": "harness",
            "ref": f"history.jsonl:{line}",
            "text": f"{op.id} submitted at {op.t_s:.1f} s",
        }
        for line, op in run.ops
        if op.op == "submit" and op.outcome == "ok"
    ]


def _by_faults(run: OpenRun) -> list[dict[str, Any]]:
    """Good requests that faults have planted, or have submitted while they recovered."""
    found = []
    for window in run.injected_faults:
        for name, must in window.planted.items():
            if must in ("archived", "once"):
                ref, text = window.ref("injected"), f"{name} planted by {window.fault_id}"
                found.append({"name": name, "source": "fault", "ref": ref, "text": text})
        if window.submitted_after is not None:
            state, name = window.submitted_after
            ref, text = window.ref(state), f"{name} submitted after {window.fault_id}"
            found.append({"name": name, "source": "fault", "ref": ref, "text": text})
    return found


def _candidates(run: OpenRun) -> None:
    of = run.target.paths
    before = run.last("baseline_files")
    listed = before[1].detail.get("policy_candidates", []) if before else []
    names = {str(name) for name in listed}
    decode = msgspec.json.decode

    def rows() -> Iterator[dict[str, Any]]:
        for folder, name in (
            scanned(run.files, of.policy_candidates) if of.policy_candidates else ()
        ):
            identity, digest = None, None
            try:
                content = (run.files / folder / name).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                entry = decode(content)
            except _UNREADABLE:
                entry = None  # without an identity: the checks say what is wrong with it
            if isinstance(entry, dict) and entry.get(of.policy_candidate_id) is not None:
                identity = written_out(str(entry[of.policy_candidate_id])) or None
            known = written_out(name)
            there = known in names or identity in names
            yield {"path": folder + known, "id": identity, "sha256": digest, "before": there}

    _in_parts(run.database, "candidates", rows())


def _request_types(run: OpenRun) -> None:
    queue = run.target.work
    types = dict.fromkeys(queue.types_selfplay, "selfplay")
    types |= dict.fromkeys(queue.types_learning, "learning")
    # The harness is believed for its own requests; of the others, the archived file is read.
    submitted = {
        written_out(op.id): _PLAN_TYPES[str(op.detail.get("type"))]
        for _, op in run.ops
        if op.op == "submit" and op.detail.get("type") in _PLAN_TYPES
    }

    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"name": name, "type": kind} for name, kind in submitted.items())
        for folder, name in scanned(run.files, queue.finished.files) if queue.type_field else ():
            known = queue.request_of(written_out(name))
            if known in submitted:
                continue
            try:
                entry = msgspec.json.decode((run.files / folder / name).read_bytes())
            except _UNREADABLE:
                continue
            kind = entry.get(queue.type_field) if isinstance(entry, dict) else None
            if isinstance(kind, str) and kind in types:
                yield {"name": known, "type": types[kind]}

    _in_parts(run.database, "request_types", rows())


def _servers(run: OpenRun) -> None:
    path = run.files / run.target.llm.events
    database = run.database
    database.create(TABLES["servers"])
    if not path.is_file():
        return
    # Half a line of a crash, or a line of another form, is left out.
    database.run(
        "insert into servers by name select line, round(try_cast(json ->> '$.time_s' as double) - "
        f"{run.epoch_s!r}, 6) as t_s, json ->> '$.event' as event, "
        "try_cast(json ->> '$.pid' as bigint) as pid from (select row_number() over () as line, "
        f"json from read_ndjson_objects({quoted(str(path))}, ignore_errors = true)) "
        "where json ->> '$.event' in ('start', 'stop', 'gone', 'crashed') and "
        "try_cast(json ->> '$.time_s' as double) is not null"
    )


def _number(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if whole and abs(value) < 1 << 62 else None
