"""When a piece of evidence happened: from its reference to a time of the run."""

from chaos.record.open_run import OpenRun
from chaos.report.excerpts import split_ref

_IN_HISTORY = """
select t_s from events where line = $line union all select t_s from ops where line = $line
union all select t_s from moments where line = $line
union all select begin_s from phases where line = $line
union all select t_s from versions where line = $line
"""
_IN_WITNESS = """
select t_s from file_ops where line = $line union all select t_s from connects where line = $line
union all select t_s from signals_sent where line = $line
union all select t_s from calls_changed where line = $line
union all select start_s from processes where line = $line
"""
_ON_WIRE = "select t_s from wire where line = $line"
# Lines of the daemon's own files; $ref is the whole reference.
_OF_DAEMON = """
select coalesce(start_s, end_s) from decisions where decision_ref(line) = $ref
union all select t_s from servers where server_ref(line) = $ref
"""
_OF_RECORDS = """
select t_s from telemetry where ref = $ref union all select t_s from predictions where ref = $ref
"""
# A file: a diagnosis when it was written, a file of the queue when its request arrived.
_OF_FILE = """
select t_s from diagnostics where 'artefacts/' || path = $ref
union all select min(e.t_s) from files f join emitted e on e.name = f.name
    where f.place is not null and 'artefacts/' || f.path = $ref
"""


def moment_of(run: OpenRun, ref: str) -> float | None:
    """Run time of what `ref` refers to; None where it has no time, as a line of a log.

    A decision counts from its start: from then on, what it claims can be compared with the rest.
    """
    path, line = split_ref(ref)
    if path == "history.jsonl" and line is not None:
        for window in run.faults:
            for at, record in window.states.values():
                if at == line:
                    return record.t_s
        return _first(run, _IN_HISTORY, line=line)
    if path == "witness.jsonl" and line is not None:
        return _first(run, _IN_WITNESS, line=line)
    if path == "wire.jsonl" and line is not None:
        return _first(run, _ON_WIRE, line=line)
    if not path.startswith("artefacts/"):
        return None
    if line is None:
        return _first(run, _OF_FILE, ref=ref)
    found = _first(run, _OF_DAEMON, ref=ref)
    return _first(run, _OF_RECORDS, ref=ref) if found is None else found


def _first(run: OpenRun, query: str, **parameters: object) -> float | None:
    rows = run.sql(query, parameters)
    return next((float(t_s) for (t_s,) in rows if t_s is not None), None)
