"""Reads the record of the system-call witness into tables. A run without one has empty tables."""

import os
from collections.abc import Mapping
from pathlib import Path

from chaos.record.database import Database, quoted
from chaos.record.globs import regex_of
from chaos.record.history_tables import json_lines
from chaos.record.tables import TABLES

_COLUMNS = {
    "time_s": "DOUBLE",
    "call": "VARCHAR",
    "pid": "BIGINT",
    "parent": "BIGINT",
    "service": "VARCHAR",
    "start_ticks": "BIGINT",
    "argv": "VARCHAR[]",
    "path": "VARCHAR",
    "to": "VARCHAR",
    "bytes": "BIGINT",
    "sha256": "VARCHAR",
    "cut_bytes": "BIGINT",
    "code": "BIGINT",
    "cpu_s": "DOUBLE",
    "target": "BIGINT",
    "signal": "BIGINT",
    "address": "VARCHAR",
    "target_watched": "BOOLEAN",
    "refused": "BOOLEAN",
    "rule": "VARCHAR",
    "injected": "VARCHAR",
    "crashed": "BOOLEAN",
    "delayed_ms": "DOUBLE",
}
# Signals that end a process unless it has arranged for them: SIGHUP, SIGINT, SIGQUIT, SIGABRT,
# SIGKILL, SIGSEGV, SIGTERM.
_DEADLY = "(1, 2, 3, 6, 9, 11, 15)"
_TICKS = os.sysconf("SC_CLK_TCK")

# A process id may be used again, so each line belongs to the last birth before it. `undone`: a rule
# made the call fail, or ended its process before it.
_LIVES = """
create temp table witnessed as
select *, injected is not null or coalesce(crashed, false) as undone,
    max(line) filter (call = 'process') over (partition by pid order by line) as born
from (select row_number() over () as line, time_s - {epoch} as t_s, * from {source})
"""
_PROCESSES = """
insert into processes by name
select b.line, b.pid, b.parent, b.service, coalesce(l.argv, b.argv) as argv,
    b.t_s as start_s, l.end_s, l.cpu_s, l.exit_code,
    (select k.pid from witnessed k where k.call = 'kill' and k.target = b.pid and k.line > b.line
        and k.signal in {deadly} and not k.undone and k.t_s <= coalesce(l.end_s, k.t_s)
        order by k.line desc limit 1) as killed_by
from witnessed b join (
    select born, last(argv order by line) filter (call = 'exec' and not undone) as argv,
        max(t_s) filter (call = 'end') as end_s, max(cpu_s) as cpu_s,
        last(code order by line) filter (call = 'exit') as exit_code
    from witnessed group by born
) l on l.born = b.line
where b.call = 'process'
"""
_FILE_OPS = """
insert into file_ops by name
select w.line, w.t_s, w.pid, b.service, w.call, w.path, w.to as to_path, w.bytes, w.sha256,
    w.cut_bytes, {place} as place, {to_place} as to_place
from witnessed w left join witnessed b on b.line = w.born
where w.call in ('open', 'rename', 'link', 'unlink', 'truncate', 'fsync') and w.path is not null
    and not w.undone
order by w.line
"""
_SIGNALS_SENT = """
insert into signals_sent by name
select w.line, w.t_s, w.pid, b.service, w.target, w.signal, t.service as to_service,
    w.target_watched as to_watched, coalesce(w.refused, false) as refused
from witnessed w left join witnessed b on b.line = w.born
asof left join (select line, pid, service from witnessed where call = 'process') t
    on t.pid = abs(w.target) and t.line <= w.line
where w.call = 'kill' and not w.undone order by w.line
"""
_CONNECTS = """
insert into connects by name
select w.line, w.t_s, w.pid, b.service, w.address, w.address = $llm as llm
from witnessed w left join witnessed b on b.line = w.born
where w.call = 'connect' and w.address is not null order by w.line
"""
_CALLS_CHANGED = """
insert into calls_changed by name
select w.line, w.t_s, w.pid, b.service, w.rule as fault_id, w.call, coalesce(w.path, w.address) as
    path, w.to as to_path, coalesce(w.injected, if(w.crashed, 'SIGKILL', 'delayed')) as change,
    w.bytes, w.delayed_ms
from witnessed w left join witnessed b on b.line = w.born where w.rule is not null order by w.line
"""
WITNESS_TABLES = ("processes", "file_ops", "signals_sent", "connects", "calls_changed")


def load_witness(
    database: Database, path: Path, epoch_s: float, llm: str, queue: Mapping[str, str]
) -> None:
    """Create the tables of the witness. `llm`: the LLM's address for the daemon; `queue`: the
    places of its queue and the glob of each.

    Half a line of a crash is left out.
    """
    for name in WITNESS_TABLES:
        database.create(TABLES[name])
    if not path.is_file():
        return
    source = json_lines(path, _COLUMNS, tolerant=True)
    database.run(_LIVES.format(epoch=repr(epoch_s), source=source))
    database.run(_PROCESSES.format(deadly=_DEADLY))
    place, to_place = _place("w.path", queue), _place("w.to", queue)
    database.run(_FILE_OPS.format(place=place, to_place=to_place))
    database.run(_SIGNALS_SENT)
    database.run(_CALLS_CHANGED)
    database.run(_CONNECTS, {"llm": llm})
    database.run("drop table witnessed")


def _place(column: str, queue: Mapping[str, str]) -> str:
    """An expression for the place of the path in `column`."""
    cases = [
        f"when regexp_full_match({column}, {quoted(regex_of(pattern))}) then {quoted(place)}"
        for place, pattern in queue.items()
    ]
    return f"case {' '.join(cases)} end"
