"""The `select` of a target over the daemon's own files: what it names, and how it is run.

In it `jsonl('PATH')` are the lines of a file of JSON objects, `json('PATH')` is a JSON document
(an array: a row for each item), `json('PATH', 'a.b')` are the items of the array at `a.b` of the
document, `lines('PATH')` are the lines of a text file (`line`, `text`), and `files('GLOB')` are the
files that match (`path`, `name`). PATH is relative to the workspace. A field that a line lacks is
null; `a.b` is field `b` of the object in `a`; an item that is no object is `entry`. All values are
text.

What is needed while the run goes on (which file, which field) is read from the text of a plain
`select` without a database: `decision_log`, `draw_log`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[\w$]+|\S", re.DOTALL | re.ASCII
)
_COMBINING = frozenset(["group", "distinct", "union", "join"])
_SELECTIVE = _COMBINING | {"where", "having", "qualify"}
_NOT_ONE_EACH = _SELECTIVE | {"limit", "unnest"}
_WORD = re.compile(r'"?([A-Za-z_]\w*)"?', re.ASCII)
_ANY_FILE = re.compile(
    r"\b(jsonl|json|lines|files)\s*\(\s*'((?:[^']|'')+)'\s*(?:,\s*'((?:[^']|'')*)'\s*)?\)",
    re.IGNORECASE,
)
_JSONL = re.compile(r"\bjsonl\s*\(\s*'((?:[^']|'')+)'\s*\)", re.IGNORECASE)


@dataclass(frozen=True)
class DecisionLog:
    """The file of the decisions, and the field of a line (dotted) that each column is.

    Empty for what the target does not say, or says by more than the name of a field.
    """

    path: str = ""
    id: str = ""
    request: str = ""
    status: str = ""
    dispatch: str = ""
    fallback: str = ""


@dataclass(frozen=True)
class Source:
    """The file that a `select` names first: by which function, and the place of its list."""

    function: str = ""
    path: str = ""
    place: str = ""

    @property
    def document(self) -> str:
        """The file, if it is one that is replaced as a whole (`json`); else ""."""
        return self.path if self.function == "json" else ""


@dataclass(frozen=True)
class DrawLog:
    """The file of the draws, and the fields of a draw (dotted): its number, where it comes from.

    `source` is None where the entries of the file are not the draws, one for one.
    """

    source: Source | None = None
    value: str = ""
    origin: str = ""


@lru_cache(maxsize=64)
def decision_log(sql: str) -> DecisionLog:
    """What the text of the record `decisions` says; all empty for ""."""
    found = _JSONL.search(sql)
    if found is None:
        return DecisionLog()
    fields = dict(_columns(sql))
    if _SELECTIVE & {token.lower() for token in _TOKEN.findall(sql)}:
        fields |= {"status": "", "fallback": ""}  # not every line is a decision
    known = {name: fields.get(name) or "" for name in DecisionLog.__dataclass_fields__}
    return DecisionLog(**{**known, "path": found[1].replace("''", "'")})


@lru_cache(maxsize=64)
def draw_log(sql: str) -> DrawLog:
    """What the text of the record `draws` says; all empty for ""."""
    source = source_of(sql)
    words = [token.lower() for token in _TOKEN.findall(sql)]
    one_each = words.count("select") == 1 and not _NOT_ONE_EACH & set(words)
    if source.function not in ("json", "jsonl") or not one_each:
        return DrawLog()
    fields = dict(_columns(sql))
    return DrawLog(source, fields.get("value") or "", fields.get("source") or "")


def source_of(sql: str) -> Source:
    """The file, or the glob, that is named first; empty for none."""
    found = _ANY_FILE.search(sql)
    if found is None:
        return Source()
    function, *arguments = (group or "" for group in found.groups())
    return Source(function.lower(), *(argument.replace("''", "'") for argument in arguments))


@lru_cache(maxsize=256)
def columns_of(sql: str) -> frozenset[str]:
    """The names of the columns of a `select`, as far as it names them (`*` names none)."""
    return frozenset(name for name, _ in _columns(sql))


def with_line(sql: str) -> str:
    """`sql` with the column `line`, where it is one plain `select` over lines and lacks it."""
    words = [token.lower() for token in _TOKEN.findall(sql)]
    plain = words.count("select") == 1 and words[0] == "select" and _JSONL.search(sql) is not None
    if not plain or "line" in columns_of(sql) or _COMBINING & set(words):
        return sql
    return re.sub(r"\bselect\b", "select line,", sql, count=1, flags=re.IGNORECASE)


def _columns(sql: str) -> Iterator[tuple[str, str]]:
    """(column, the field that it is) for each item of the outermost select list."""
    for item in _select_list(sql):
        words = [word[1] for token in item if (word := _WORD.fullmatch(token))]
        named = len(item) > 1 and item[-2].lower() == "as"
        field = item[:-2] if named else item
        plain = all(
            token == "." if place % 2 else _WORD.fullmatch(token) is not None
            for place, token in enumerate(field)
        )
        if words and (named or plain):
            path = "".join(token.strip('"') for token in field) if plain else ""
            yield words[-1], path


def _select_list(sql: str) -> Iterator[list[str]]:
    """The tokens of each item of the last select list that stands in no parentheses."""
    depth, open_ = 0, False
    items: list[list[str]] = [[]]
    for token in _TOKEN.findall(sql):
        if token.startswith(("--", "/*")):
            continue
        depth += (token == "(") - (token == ")")
        word = token.lower()
        if depth == 0 and word == "select":
            items, open_ = [[]], True
        elif depth == 0 and word == "from":
            open_ = False
        elif open_ and depth == 0 and token == ",":
            items.append([])
        elif open_:
            items[-1].append(token)
    return (item for item in items if item)
