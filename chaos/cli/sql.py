"""`chaos sql RUN QUERY`: query a stored run or campaign; `--tables` lists its tables."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from chaos.base.printable import printable
from chaos.campaign import tables as campaign_tables
from chaos.campaign.state import named
from chaos.record.events import EVENTS
from chaos.record.evidence_keys import EVIDENCE
from chaos.record.open_run import OpenRun
from chaos.record.rundir import find
from chaos.record.tables import MACROS, TABLES, Table

LIMIT_S = 30.0
_CELL_MAX = 60


def ask(reference: str, runs: Path, query: str, output: str, *, limit_s: float) -> None:
    """Print the result as `output`: table, json or csv.

    Raises `UsageError` for a query that is wrong, forbidden, too long or too large.
    """
    campaign = named(reference, runs)
    if campaign is not None:
        names, rows = campaign_tables.query(campaign, query, limit_s=limit_s)
    else:
        with OpenRun(find(reference, runs)) as run:
            names, rows = run.query(query, {}, limit_s=limit_s)
    if output == "json":
        records = (dict(zip(names, row, strict=True)) for row in rows)
        _print_json(records)
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        _print_table(names, rows)


def _print_json(records: Iterable[dict[str, Any]]) -> None:
    """A JSON list with one record a line; a column that holds JSON is not quoted again."""
    separator = "["
    for record in records:
        sys.stdout.write(
            f"{separator}{json.dumps({k: _plain(v) for k, v in record.items()}, default=str)}"
        )
        separator = ",\n "
    sys.stdout.write("[]\n" if separator == "[" else "]\n")


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _print_table(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Columns as wide as their widest cell; long cells are cut, and only for people."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(names)]
    numbers = [
        all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(names))
    ]
    for line in (list(names), ["-" * width for width in widths], *cells):
        shown = (
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, numbers, strict=True)
        )
        sys.stdout.write("  ".join(shown).rstrip() + "\n")
    sys.stdout.write(f"({len(rows)} row{'' if len(rows) == 1 else 's'})\n")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    text = "" if value is None else printable(str(value))
    return text if len(text) <= _CELL_MAX else f"{text[: _CELL_MAX - 3]}..."


def tables_text(output: str = "table") -> str:
    """All tables with their columns, units and meanings; as JSON with `output` json."""
    if output == "json":
        described = [_described(table) for table in TABLES.values()]
        of_campaign = [_described(table, of="campaign") for table in campaign_tables.TABLES]
        return json.dumps([*described, *of_campaign], indent=2)
    parts = []
    for table in (*TABLES.values(), *campaign_tables.TABLES):
        if table is campaign_tables.TABLES[0]:
            parts += ["of a campaign, in place of those above:", ""]
        parts.append(f"{table.name}: {table.row} (from {table.source})")
        width = max(len(column.name) for column in table.columns)
        for column in table.columns:
            unit = f" [{column.unit}]" if column.unit else ""
            parts.append(f"  {column.name.ljust(width)}  {column.type:<10} {column.meaning}{unit}")
        parts.append("")
    parts.append("functions:")
    parts += [f"  {name}: {meaning}" for name, meaning in MACROS.items()]
    return "\n".join(parts)


def _described(table: Table, of: str = "run") -> dict[str, Any]:
    columns = [
        {"name": c.name, "type": c.type, "unit": c.unit, "meaning": c.meaning}
        for c in table.columns
    ]
    names = {"table": table.name, "of": of, "row": table.row, "source": table.source}
    return {**names, "columns": columns}


def tables_markdown() -> str:
    """`docs/tables.md`, made from the declarations."""
    lines = [
        "# Tables of a run",
        "",
        "Made by `chaos sql --tables --markdown` from the declarations in `chaos/record/`.",
        "",
        '`chaos sql RUN "select ..."` asks a stored run. An experiment may bring checks of its '
        "own: `checks: {NAME: {title, sql, params, needs}}`, where `sql` returns a row (`ref`, "
        "`text`) for everything that is wrong. Only one `select` statement is allowed, and it can "
        "read nothing outside the run directory. Times are run seconds unless a column says "
        "otherwise.",
        "",
    ]
    for table in TABLES.values():
        lines += _table_markdown(table, 2)
    lines += ["## Functions", "", "| function | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in MACROS.items()]
    lines += ["", "## Events", "", "| event | meaning | keys of `detail` |", "|---|---|---|"]
    for event in EVENTS.values():
        keys = ", ".join(f"`{key}`" for key in event.keys) + (", others" * event.open_detail)
        lines.append(f"| `{event.name}` | {event.meaning} | {keys} |")
    lines += [
        "",
        "## Evidence of faults",
        "",
        "Keys of `effect` and `recovery` in the table `faults`, and of `evidence` in the fault "
        "records of `history.jsonl`. The unit is the suffix of the name. A kind of another package "
        "may declare more.",
        "",
        "| key | meaning |",
        "|---|---|",
    ]
    lines += [f"| `{key.name}` | {key.meaning} |" for key in EVIDENCE.values()]
    lines += [
        "",
        "## Tables of a campaign",
        "",
        '`chaos sql CAMPAIGN "select ..."` has these in place of the ones above.',
        "",
    ]
    for table in campaign_tables.TABLES:
        lines += _table_markdown(table, 3)
    return "\n".join(lines[:-1]) + "\n"


def _table_markdown(table: Table, level: int) -> list[str]:
    """The section of one table, with an empty line at its end."""
    lines = [f"{'#' * level} {table.name}", ""]
    lines += [f"One row is {table.row}. Read from {table.source}.", ""]
    lines += ["| column | type | unit | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {c.type} | {c.unit} | {c.meaning.replace('|', '/')} |"
        for c in table.columns
    ]
    return [*lines, ""]
