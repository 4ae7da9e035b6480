"""YAML files into typed structs, with file, line and key in every error.

Knows nothing of what the files mean. Scalars follow the core schema of YAML 1.2 (`no` and
`on` are text, `1e3` is a number); duplicate keys, aliases, tags and second documents are
rejected, size and depth are limited, so that no file can surprise or exhaust its reader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from chaos.base.errors import UsageError
from chaos.base.typedtree import first_problem

SIZE_MAX = 1 << 20  # bytes of one file; ours have 5 kB
DEPTH_MAX = 24

T = TypeVar("T")
Key = str | int
Path_ = tuple[Key, ...]

# Digits are limited because converting longer ones takes quadratic time.
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,3})?")
# Found by us because the two parsers of PyYAML count the place of such a character differently.
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

# The C parser where there is one; both give the same events.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def scalar(text: str) -> str | int | float | bool | None:
    """An unquoted scalar as a value: null, bool, int or finite float, else the text itself."""
    if text in _WORDS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


@dataclass
class Document:
    """A parsed file: plain data, and the line on which each path into it stands."""

    path: Path
    data: dict[str, Any]
    lines: dict[Path_, int]

    def place(self, *keys: Key) -> str:
        """'file:line key' of a path into the data; the nearest parent's line if it is absent."""
        known = keys
        while known and known not in self.lines:
            known = known[:-1]
        where = f"{shown(self.path)}:{self.lines.get(known, 1)}"
        return f"{where} {dotted(keys)}" if keys else where

    def to(self, kind: type[T]) -> T:
        """The data as `kind`; `UsageError` with the first offending line, key and expectation."""
        try:
            return msgspec.convert(self.data, kind)
        except msgspec.ValidationError as error:
            problem = first_problem(self.data, kind)
            if problem is None:  # a rule that only the whole can break
                raise UsageError(str(error), place=self.place()) from error
            raise UsageError(
                problem.message, place=self.place(*problem.keys), next_step=problem.next_step
            ) from error


def dotted(keys: Path_) -> str:
    """('a', 'b', 0) -> 'a.b[0]'."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")


def shown(path: Path) -> str:
    """`path` as a person would write it here: relative if it lies below the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def load(path: Path, kind: type[T]) -> T:
    """Read `path` as `kind` (a msgspec struct). Raises `UsageError` for anything wrong."""
    return read(path).to(kind)


def read(path: Path) -> Document:
    """Parse `path`, whose top level must be a mapping. Raises `UsageError`."""
    text = _text(path)
    builder = _Builder(path)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(
            "not valid YAML: " + ", ".join(filter(None, (error.context, error.problem))),
            place=f"{shown(path)}:{mark.line + 1 if mark else 1}{builder.near()}",
            next_step="check the indentation, colons, quotes and brackets there and just above",
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"not valid YAML: {error}", place=shown(path)) from error
    return builder.document()


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UsageError("not a file", place=str(path), next_step="name a YAML file")
        with path.open("rb") as stream:
            raw = stream.read(SIZE_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the file: {error.strerror}", place=str(path), next_step="check the path"
        ) from error
    if len(raw) > SIZE_MAX:
        raise UsageError(f"larger than {SIZE_MAX} bytes", place=shown(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"not UTF-8: byte 0x{raw[error.start]:02x}",
            place=f"{shown(path)}:{line}",
            next_step="save the file as UTF-8",
        ) from error
    bad = _NOT_YAML.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise UsageError(
            f"not valid YAML: control character 0x{ord(bad[0]):02x}",
            place=f"{shown(path)}:{line}",
            next_step="remove it",
        )
    return text


@dataclass
class _Open:
    """A mapping or sequence whose end has not been seen."""

    value: dict[str, Any] | list[Any]
    keys: Path_
    key: str | None = None  # of a mapping: the key whose value comes next


@dataclass
class _Builder:
    """Turns parser events into data and lines, without recursion."""

    path: Path
    stack: list[_Open] = field(default_factory=list)
    lines: dict[Path_, int] = field(default_factory=dict)
    root: Any = None
    documents: int = 0

    def document(self) -> Document:
        if self.documents == 0 or self.root is None:
            raise UsageError("empty", place=f"{shown(self.path)}:1", next_step="expected a mapping")
        if not isinstance(self.root, dict):
            raise UsageError(
                "expected a mapping at the top level",
                place=f"{shown(self.path)}:{self.lines.get((), 1)}",
                next_step="write `key: value` lines",
            )
        return Document(self.path, self.root, self.lines)

    def near(self) -> str:
        """' key' of the place where the parser stands, for messages."""
        keys = self._here() if self.stack else ()
        return f" {dotted(keys)}" if keys else ""

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._error(line, "a second document", "keep one document per file")
        elif isinstance(event, yaml.AliasEvent):
            raise self._error(line, f"alias *{event.anchor}", "write the value out")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._start(event, line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.stack.pop()

    def _error(self, line: int, message: str, next_step: str) -> UsageError:
        place = f"{shown(self.path)}:{line}{self.near()}"
        return UsageError(f"{message} is not supported here", place=place, next_step=next_step)

    def _here(self) -> Path_:
        """Path of the value that comes next."""
        top = self.stack[-1]
        if isinstance(top.value, list):
            return (*top.keys, len(top.value))
        return top.keys if top.key is None else (*top.keys, top.key)

    def _wants_key(self) -> bool:
        top = self.stack[-1] if self.stack else None
        return top is not None and isinstance(top.value, dict) and top.key is None

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        if event.tag is not None:
            raise self._error(line, f"tag {event.tag}", "write the plain value")
        if self._wants_key():
            self._key(event.value, line)
            return
        quoted = event.style in ("'", '"', "|", ">")
        self._add(event.value if quoted else scalar(event.value), line)

    def _key(self, key: str, line: int) -> None:
        top = self.stack[-1]
        if key in top.value:
            first = self.lines[(*top.keys, key)]
            place = f"{shown(self.path)}:{line} {dotted((*top.keys, key))}"
            raise UsageError(f"key given twice, first on line {first}", place=place)
        top.key = key
        self.lines[(*top.keys, key)] = line

    def _start(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if event.tag is not None:
            raise self._error(line, f"tag {event.tag}", "write the plain value")
        if self._wants_key():
            raise self._error(line, "a mapping or list as a key", "use text as the key")
        if len(self.stack) >= DEPTH_MAX:
            raise self._error(line, f"nesting deeper than {DEPTH_MAX}", "flatten it")
        keys = self._here() if self.stack else ()
        value: dict[str, Any] | list[Any]
        value = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._add(value, line)
        self.stack.append(_Open(value, keys))

    def _add(self, value: Any, line: int) -> None:
        if not self.stack:
            self.lines[()] = line
            self.root = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            self.lines[(*top.keys, len(top.value))] = line
            top.value.append(value)
        elif top.key is not None:
            top.value[top.key] = value
            top.key = None


def texts(data: Any, keys: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    """Every (path, text) inside plain data."""
    if isinstance(data, str):
        yield keys, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from texts(value, (*keys, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from texts(value, (*keys, index))
