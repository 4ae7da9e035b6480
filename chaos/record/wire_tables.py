"""Reads the record of the wire's witness into the table `wire`. A run without one has an empty one.

Which process of the daemon made a connection is known by the system-call witness: its last attempt
before the connection's first frame.
"""

from pathlib import Path

from chaos.record.database import Database
from chaos.record.history_tables import json_lines
from chaos.record.tables import TABLES

_COLUMNS = {
    **dict.fromkeys(("open_s", "time_s", "first_byte_s", "end_s"), "DOUBLE"),
    **dict.fromkeys(("link", "method", "path", "ended", "sent", "sha256"), "VARCHAR"),
    **dict.fromkeys(("text", "finish"), "VARCHAR"),
    **dict.fromkeys(("connection", "status", "sent_bytes", "received_bytes", "dropped"), "BIGINT"),
    "harness": "BOOLEAN",
}
_ATTEMPT_LIMIT_S = 1.0  # from the system call to the first frame
_WIRE = """
insert into wire by name
select w.line, w.connection, w.link, w.harness, w.open_s - {epoch} as open_s,
    w.time_s - {epoch} as t_s, w.first_byte_s - {epoch} as first_byte_s,
    w.end_s - {epoch} as end_s, w.method, w.path, w.status, w.sent_bytes,
    if(w.dropped is null, w.ended, 'dropped') as ended,
    w.received_bytes, w.sent, w.text, w.finish, w.sha256,
    if({known}, c.pid, null) as pid, if({known}, c.service, null) as service
from (
    select row_number() over () as line, * replace (coalesce(harness, false) as harness)
    from {source}
) w asof left join (select t_s + {epoch} as at_s, pid, service from connects where llm) c
    on c.at_s <= w.open_s
where w.link is not null or w.dropped is not null order by w.line
"""
_KNOWN = f"w.link = 'llm' and not w.harness and w.open_s - c.at_s < {_ATTEMPT_LIMIT_S}"


def load_wire(database: Database, path: Path, epoch_s: float) -> None:
    """Create the table `wire`; needs `connects`. Half a line of a crash is left out."""
    database.create(TABLES["wire"])
    if path.is_file():
        source = json_lines(path, _COLUMNS, tolerant=True)
        database.run(_WIRE.format(epoch=repr(epoch_s), source=source, known=_KNOWN))
