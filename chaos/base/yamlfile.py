"""YAML files into typed structs, with file, line and key in every error.

Knows nothing of what the files mean. Scalars follow the core schema of YAML 1.2 (`no` and
`on` are text, `1e3` is a number); duplicate keys, aliases, tags and second documents are
rejected, size and depth are limited, so that no file can surprise or exhaust its reader.
"""

import copy
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
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
    return copy.deepcopy(_parsed(path, _text(path)))


@lru_cache(maxsize=32)  # a gate reads the same few files for each of its runs
def _parsed(path: Path, text: str) -> Document:
    loader = _Loader(path, text)
    try:
        root = loader.root()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(
            "not valid YAML: " + ", ".join(filter(None, (error.context, error.problem))),
            place=loader.place(mark),
            next_step="check the indentation, colons, quotes and brackets there and just above",
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"not valid YAML: {error}", place=shown(path)) from error
    document = Document(path, {}, {})
    data = None if root is None else _plain(root, document, ())
    if data is None:
        raise UsageError("empty", place=f"{shown(path)}:1", next_step="expected a mapping")
    if not isinstance(data, dict):
        raise UsageError(
            "expected a mapping at the top level",
            place=document.place(),
            next_step="write `key: value` lines",
        )
    document.data = data
    return document


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


class _Loader(yaml.SafeLoader):
    """Composes the nodes of a document, and refuses what is not supported.

    `keys` is the path of the node that is being composed.
    """

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path = path
        self.keys: Path_ = ()

    def root(self) -> yaml.Node | None:
        """The node of the only document; None when there is none."""
        self.get_event()  # type: ignore[no-untyped-call]  # the start of the stream
        if self.check_event(yaml.StreamEndEvent):
            return None
        root: yaml.Node | None = self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise self._refused(event, "a second document", "keep one document per file")
        return root

    def place(self, mark: Any) -> str:
        """'file:line key' of `mark`, in the node that is being composed."""
        where = f"{shown(self.path)}:{mark.line + 1 if mark else 1}"
        return f"{where} {dotted(self.keys)}" if self.keys else where

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        keys = self.keys
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if parent is not None and not is_key:
            self.keys = (*keys, index if isinstance(index, int) else index.value)
        if isinstance(event, yaml.AliasEvent):
            raise self._refused(event, f"alias *{event.anchor}", "write the value out")
        if event.tag is not None:
            raise self._refused(event, f"tag {event.tag}", "write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            if is_key:
                raise self._refused(event, "a mapping or list as a key", "use text as the key")
            if len(self.keys) >= DEPTH_MAX:
                raise self._refused(event, f"nesting deeper than {DEPTH_MAX}", "flatten it")
        node = super().compose_node(parent, index)
        self.keys = keys
        return node

    def _refused(self, event: Any, what: str, next_step: str) -> UsageError:
        place = self.place(event.start_mark)
        return UsageError(f"{what} is not supported here", place=place, next_step=next_step)


def _plain(node: yaml.Node, document: Document, keys: Path_) -> Any:
    """The data of `node`; the line of each path below it goes into `document.lines`."""
    document.lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style in ("'", '"', "|", ">") else scalar(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, document, (*keys, i)) for i, item in enumerate(node.value)]
    data: dict[str, Any] = {}
    for key, value in node.value:
        path, line = (*keys, key.value), key.start_mark.line + 1
        if path in document.lines:
            raise UsageError(
                f"key given twice, first on line {document.lines[path]}",
                place=f"{shown(document.path)}:{line} {dotted(path)}",
            )
        document.lines[path] = line
        data[key.value] = _plain(value, document, path)
    return data


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
