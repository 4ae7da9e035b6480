"""Turns the `select` of a target (`chaos.record.record_sql`) into SQL over the collected files.

DuckDB parses it; the places of its fields and files come from that. Each is replaced in the text:
a file by what reads it, `a.b` by a look into JSON. So the result depends on the query alone, not
on what types a file suggests. A damaged line of `jsonl` is left out and listed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import msgspec

from chaos.record.daemon_files import raw_entries
from chaos.record.database import Database, QueryError, quoted
from chaos.record.history_tables import json_lines
from chaos.record.record_sql import Source

LINE_BYTES_MAX = 1 << 20
_CHUNK = 1 << 20
_FUNCTIONS = ("jsonl", "json", "lines", "files")
_NO_ROW = "where false"


@dataclass
class _Parsed:
    """What a `select` names. Places are (first byte, number of bytes)."""

    # place, function, arguments
    files: list[tuple[int, int, str, list[str]]] = field(default_factory=list)
    fields: list[tuple[int, int, list[str], bool]] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)


@dataclass
class Expanded:
    """SQL that reads the files; `damaged`: path -> rows of its lines that are no JSON objects."""

    sql: str
    damaged: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def expanded(database: Database, folder: Path, sql: str, *, given: str = "") -> Expanded:
    """`sql` with its files below `folder`. Raises `QueryError` for one that cannot be used.

    `given`: the content of this JSON document is the parameter `$content`, not that of the file.
    """
    parsed = _parsed(database, sql)
    flat: set[str] = set()
    nested: set[str] = set()
    for _, _, names, _ in parsed.fields:
        own = names[1:] if len(names) > 1 and names[0] in parsed.aliases else names
        (nested if len(own) > 1 else flat).add(own[0])
    found = Expanded("")
    pieces = [
        (
            at,
            size,
            _file(database, folder, function, arguments, flat | nested, nested, found, given),
        )
        for at, size, function, arguments in parsed.files
    ]
    pieces += [
        (at, size, text)
        for at, size, names, named in parsed.fields
        if (text := _field(names, nested, parsed.aliases, named=named))
    ]
    raw = sql.encode()
    for at, size, text in sorted(pieces, reverse=True):
        raw = raw[:at] + text.encode() + raw[at + size :]
    found.sql = raw.decode()
    return found


def define(
    database: Database, folder: Path, sql: str, view: str
) -> tuple[dict[str, str], Expanded]:
    """Make the view of a record; (what stands for each column of it, as text, the SQL)."""
    whole = expanded(database, folder, sql)
    database.define(view, whole.sql)
    names = database.run(f"select column_name from (describe {view})")
    return {name: f'cast("{name}" as varchar)' for (name,) in names}, whole


def _field(names: list[str], nested: set[str], aliases: set[str], *, named: bool) -> str:
    """What stands for a field; "" where it stays. `named`: it needs the name of a column."""
    alias = f'"{names[0]}".' if len(names) > 1 and names[0] in aliases else ""
    own = names[1:] if alias else names
    if own[0] not in nested:
        return ""
    inner = "".join(f'."{name}"' for name in own[1:])
    return f'({alias}"{own[0]}" ->> {quoted("$" + inner)})' + (f' as "{own[-1]}"' if named else "")


def _parsed(database: Database, sql: str) -> _Parsed:
    tree = json.loads(database.run("select json_serialize_sql(?)", [sql])[0][0])
    if tree.get("error"):
        raise QueryError(
            str(tree.get("error_message", "it cannot be read")),
            place="SQL",
            next_step="write one `select` over jsonl('…'), json('…'), lines('…') or files('…')",
        )
    found = _Parsed()
    raw = sql.encode()
    for node, named in _nodes(tree, named=False):
        at, size = node.get("query_location") or 0, node.get("query_location_length") or 0
        kind = node.get("type")
        if kind in ("BASE_TABLE", "TABLE_FUNCTION", "SUBQUERY"):
            found.aliases |= {node.get("alias") or node.get("table_name") or ""} - {""}
        if kind == "COLUMN_REF":
            found.fields.append((at, size, node["column_names"], named and not node["alias"]))
        elif kind == "TABLE_FUNCTION" and node["function"]["function_name"] in _FUNCTIONS:
            function = node["function"]
            written = raw[at : at + size].decode()
            found.files.append(
                (at, _call_bytes(written), function["function_name"], _arguments_of(function))
            )
    found.aliases |= {entry["key"] for entry in _ctes(tree)}
    return found


def _nodes(tree: Any, *, named: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every node of a parsed query; and whether it is an item of a select list."""
    if isinstance(tree, dict):
        yield tree, named
        for key, value in tree.items():
            yield from _nodes(value, named=key == "select_list")
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value, named=named)


def _ctes(tree: Any) -> Iterator[dict[str, Any]]:
    for node, _ in _nodes(tree, named=False):
        yield from node.get("cte_map", {}).get("map", [])


def _call_bytes(written: str) -> int:
    """How many bytes the call at the beginning of `written` has, without an alias after it."""
    inside = False
    for place, letter in enumerate(written):
        inside ^= letter == "'"
        if letter == ")" and not inside:
            return len(written[: place + 1].encode())
    return len(written.encode())


def _arguments_of(function: dict[str, Any]) -> list[str]:
    """The path, and of `json` the place of a list in the document, if it is given."""
    texts = [
        one["expression"].get("literal", {}).get("text")
        if one["expression"].get("class") == "CONSTANT"
        else None
        for one in function["arguments"]
    ]
    name = function["function_name"]
    path = texts[0] if texts and len(texts) <= (2 if name == "json" else 1) else None
    pure = PurePosixPath(path or "/")
    if pure.is_absolute() or ".." in pure.parts:
        raise QueryError(
            f"{name}: {path!r} is not a path in the workspace",
            place="SQL",
            next_step="write one text in quotes, relative to the workspace",
        )
    given = [text for text in texts if text is not None]
    if len(given) < len(texts):
        raise QueryError(
            f"{name}: the place of the list is not a text in quotes",
            place="SQL",
            next_step="write e.g. json('history.json', 'draws')",
        )
    return given


def _file(
    database: Database,
    folder: Path,
    function: str,
    arguments: list[str],
    names: set[str],
    nested: set[str],
    found: Expanded,
    given: str,
) -> str:
    """What stands for a call such as jsonl('…')."""
    path = arguments[0]
    match function:
        case "lines":
            return _lines(folder, path)
        case "files":
            return _files(folder, path)
        case "json":
            source = Source("json", path, "".join(arguments[1:]))
            read = _given(source) if path == given else _items(database, folder, source)
            return _json(read, names - {"line", "entry"}, nested)
    columns = {
        name: "JSON" if name in nested else "VARCHAR" for name in sorted(names - {"line", "__line"})
    } or {"__none": "VARCHAR"}
    read, line = _jsonl(database, folder / path, path, columns, found)
    wanted = ", ".join(f'"{name}"' for name in columns)
    if not read:
        wanted = ", ".join(f'null::{kind} as "{name}"' for name, kind in columns.items())
        return f"(select null::integer as line, {wanted} {_NO_ROW})"
    return f"(select {line} as line, {wanted} from {read})"


def _jsonl(
    database: Database, path: Path, name: str, columns: dict[str, str], found: Expanded
) -> tuple[str, str]:
    """(table function, number of a line) for the lines that are JSON objects; "" for no file."""
    if not path.is_file():
        return "", ""
    lines = _whole_lines(path)
    source = json_lines(path, columns)
    if lines is not None:
        try:
            if database.run(f"select count(*) from (select * from {source})")[0][0] == lines:
                return source, "row_number() over ()"
        except duckdb.Error:
            pass  # not every line is of the usual form: they are read one by one
    clean = _clean_file(database)
    found.damaged[name] = _clean(path, clean, list(columns))
    if not clean.stat().st_size:
        return "", ""
    return json_lines(clean, {**columns, "__line": "INTEGER"}), "__line"


def _whole_lines(path: Path) -> int | None:
    """How many lines there are; None where a line is empty or the last one is not ended."""
    count, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count if last == b"\n" else None


def _clean(path: Path, clean: Path, names: list[str]) -> list[dict[str, Any]]:
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
                kept = {name: entry[name] for name in names if name in entry}
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


def _json(read: str, names: set[str], nested: set[str]) -> str:
    """The items of a document, which `read` has as `entry`; `line` counts them from 1."""
    fields = "".join(
        f", entry {'->' if name in nested else '->>'} {quoted('$.' + chr(34) + name + chr(34))} "
        f'as "{name}"'
        for name in sorted(names)
    )
    return f"(select row_number() over () as line, entry{fields} from {read})"


def _given(source: Source) -> str:
    """What reads the items of the document `$content`."""
    steps = "".join(f'."{name}"' for name in source.place.split(".") if name)
    found, other = ("document", "[document]")
    if steps:
        found, other = f"json_extract(document, {quoted('$' + steps)})", "[]"
    return (
        f"(select unnest(case json_type({found}) when 'ARRAY' then json_extract({found}, '$[*]') "
        f"else {other} end) as entry from (select try_cast($content as json) as document) "
        "where document is not null)"
    )


def _items(database: Database, folder: Path, source: Source) -> str:
    """What reads the items of a document. They are taken apart here: DuckDB needs many times the
    size of a document for that.
    """
    try:
        items = raw_entries(folder, source)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        items = []
    if not items:
        return f"(select null::json as entry {_NO_ROW})"
    clean = _clean_file(database)
    with clean.open("wb") as out:
        # A line break in JSON is white space.
        out.writelines(b'{"entry":%b}\n' % bytes(item).replace(b"\n", b" ") for item in items)
    return json_lines(clean, {"entry": "JSON"}, tolerant=True)


def _clean_file(database: Database) -> Path:
    return database.folder / f"clean-{len(list(database.folder.iterdir()))}.jsonl"


def _lines(folder: Path, pattern: str) -> str:
    """The lines of the files that match, one file after the other by name."""
    parts = [
        f"select {quoted(str(path.relative_to(folder)))} as path, {place} as place, content "
        f"from read_text({quoted(str(path))})"
        for place, path in enumerate(_matching(folder, pattern))
    ]
    content = " union all ".join(parts) or (
        f"select null::varchar as path, 0 as place, null::varchar as content {_NO_ROW}"
    )
    return (
        "(select row_number() over (order by place, n) as line, path, text from (select path, "
        "place, unnest(l) as text, generate_subscripts(l, 1) as n from (select path, place, "
        f"string_split(rtrim(content, chr(10)), chr(10)) as l from ({content}))))"
    )


def _files(folder: Path, pattern: str) -> str:
    rows = ", ".join(
        f"({quoted(str(path.relative_to(folder)))}, {quoted(path.name)})"
        for path in _matching(folder, pattern)
    )
    if not rows:
        return f"(select null::varchar as path, null::varchar as name {_NO_ROW})"
    return f"(select * from (values {rows}) as f(path, name))"


def _matching(folder: Path, pattern: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(pattern)
        if path.is_file() and not path.is_symlink() and path.name.isprintable()
    )
