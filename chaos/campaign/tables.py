"""The tables of a campaign: its runs, attempts, findings and faults in one database.

They are read from the small `attempt.json` of each attempt, so that a thousand runs take a second.
The tables of one run (`events`, `file_ops` ...) are asked of that run, whose folder is in `runs`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chaos.campaign.attempts import FaultRow, FindingRow
from chaos.campaign.result import Row, result_of
from chaos.campaign.state import CampaignDir
from chaos.record.database import Database
from chaos.record.tables import Column, Table

_RUN = Column("run", "INTEGER", "number of the run in the plan")
_SOURCE = "campaign.json and the attempt.json of each attempt"

TABLES = (
    Table(
        "runs",
        "a planned run with the attempt that counts",
        _SOURCE,
        (
            _RUN,
            Column("soak", "VARCHAR", "soak"),
            Column("target", "VARCHAR", "target; null: that of the soak"),
            Column("fault", "VARCHAR", "its faults with parameters; `none` for a clean run"),
            Column("profile", "VARCHAR", "profile"),
            Column("seed", "UBIGINT", "seed"),
            Column("schedule_hash", "VARCHAR", "hash of its schedule"),
            Column("verdict", "VARCHAR", "its verdict; `not made` without an attempt"),
            Column("exit_code", "INTEGER", "its exit code"),
            Column("reason", "VARCHAR", "why"),
            Column("lasted_s", "DOUBLE", "how long it lasted", "s"),
            Column("attempts", "INTEGER", "how many attempts there are"),
            Column("path", "VARCHAR", "its run directory: `chaos sql PATH` has all its tables"),
            Column("command", "VARCHAR", "repeats it"),
        ),
    ),
    Table(
        "attempts",
        "an attempt, whether it counts or not",
        _SOURCE,
        (
            _RUN,
            Column("attempt", "INTEGER", "number of the attempt"),
            Column("counts", "BOOLEAN", "whether it is the one that counts"),
            Column("verdict", "VARCHAR", "its verdict; empty without one"),
            Column("exit_code", "INTEGER", "its exit code"),
            Column("reason", "VARCHAR", "why"),
            Column("ended_epoch_s", "DOUBLE", "when it ended (Unix time)", "s"),
        ),
    ),
    Table(
        "findings",
        "a finding of an attempt that counts",
        _SOURCE,
        (
            _RUN,
            Column("check", "VARCHAR", "check"),
            Column("title", "VARCHAR", "title of the finding"),
            Column("outcome", "VARCHAR", "pass, fail, inconclusive, unverified, skipped, invalid"),
            Column("owner", "VARCHAR", "whose it is: product, or a part of the harness"),
            Column("summary", "VARCHAR", "one sentence"),
            Column("measured", "VARCHAR", "what was measured"),
            Column("limit", "VARCHAR", "what was allowed"),
        ),
    ),
    Table(
        "faults",
        "a strike in an attempt that counts",
        _SOURCE,
        (
            _RUN,
            Column("fault_id", "VARCHAR", "id in the schedule"),
            Column("name", "VARCHAR", "kind of fault"),
            Column("state", "VARCHAR", "last state that it reached"),
            Column("injected_s", "DOUBLE", "when it was injected", "s"),
            Column("proven_s", "DOUBLE", "when its effect was proven", "s"),
            Column("recovering_s", "DOUBLE", "when its end began", "s"),
            Column("recovered_s", "DOUBLE", "when its end was seen", "s"),
            Column("recovery_s", "DOUBLE", "from the one to the other", "s"),
        ),
    ),
)


def query(
    folder: CampaignDir, sql: str, *, limit_s: float
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of a query that others wrote. Raises `QueryError`, a `UsageError`."""
    rows = result_of(folder, folder.read()).rows
    content = {
        "runs": [_run(row) for row in rows],
        "attempts": [each for row in rows for each in _attempts(row)],
        "findings": _of_all(rows, "findings"),
        "faults": _of_all(rows, "faults"),
    }
    database = Database(folder.path)
    try:
        for table in TABLES:
            database.create(table, content[table.name])
        return database.query(sql, limit_s=limit_s)
    finally:
        database.close()


def _run(row: Row) -> Mapping[str, Any]:
    entry, made = row.entry, row.counts
    attempt = made.attempt if made else None
    return {
        "run": entry.index,
        "soak": entry.soak,
        "target": entry.target,
        "fault": entry.fault,
        "profile": entry.profile,
        "seed": entry.seed,
        "schedule_hash": entry.schedule_hash,
        "verdict": row.word,
        "exit_code": attempt.exit_code if attempt else None,
        "reason": attempt.reason if attempt else None,
        "lasted_s": attempt.lasted_s if attempt else None,
        "attempts": len(row.made),
        "path": str(made.path) if made else None,
        "command": entry.command,
    }


def _attempts(row: Row) -> list[Mapping[str, Any]]:
    counts = row.counts
    return [
        {
            "run": row.entry.index,
            "attempt": made.number,
            "counts": made is counts,
            "verdict": made.attempt.verdict,
            "exit_code": made.attempt.exit_code,
            "reason": made.attempt.reason,
            "ended_epoch_s": made.attempt.ended_epoch_s,
        }
        for made in row.made
    ]


def _of_all(rows: Sequence[Row], name: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for row in rows:
        if row.counts is not None:
            items: tuple[FindingRow | FaultRow, ...] = getattr(row.counts.attempt, name)
            found += [{"run": row.entry.index, **msgspec.to_builtins(item)} for item in items]
    return found
