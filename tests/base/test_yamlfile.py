"""Every defect of a file is said with file, line, key and what was expected; none gets through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from chaos.base.errors import UsageError
from chaos.base.yamlfile import DEPTH_MAX, SIZE_MAX, load, read, scalar


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    hold_s: Annotated[float, msgspec.Meta(gt=0)]
    signal: Literal["TERM", "INT"] = "TERM"
    argv: list[str] = []


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parts: dict[str, Inner]
    count: int | None = None


GOOD = """\
name: x
parts:
  first:
    hold_s: 3
    argv: [a, b]
"""


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(tmp_path: Path, content: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load(written(tmp_path, content), Outer)
    return caught.value


def test_a_good_file_becomes_its_struct(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, GOOD), Outer)
    assert loaded == Outer("x", {"first": Inner(3.0, argv=["a", "b"])})


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "expected"),
    [
        ("hold_s: 3", "hold_s: abc", 4, "parts.first.hold_s", "a number more than 0"),
        ("hold_s: 3", "hold_s: 0", 4, "parts.first.hold_s", "a number more than 0"),
        ("hold_s: 3", "hold_s:", 4, "parts.first.hold_s", "a number more than 0"),
        ("hold_s: 3", "hold_s: .nan", 4, "parts.first.hold_s", "a number more than 0"),
        ("hold_s: 3", "hold_s: [3]", 4, "parts.first.hold_s", "a number more than 0"),
        ("hold_s: 3", "hold: 3", 4, "parts.first.hold", "did you mean 'hold_s'?"),
        ("    hold_s: 3\n", "", 3, "parts.first", "add hold_s (a number more than 0)"),
        ("[a, b]", "[a, 7]", 5, "parts.first.argv[1]", "text"),
        ("[a, b]", "a b", 5, "parts.first.argv", "a list of text"),
        ("    hold", "    signal: KILL\n    hold", 4, "parts.first.signal", "TERM or INT"),
        ("name: x", "nam: x", 1, "nam", "did you mean 'name'?"),
        ("name: x", "name: x\ncount: many", 2, "count", "a whole number"),
        ("name: x", "name: x\nname: y", 2, "name", "first on line 1"),
        ("hold_s: 3", "hold_s: &a 3\n    other: *a", 5, "parts.first.other", "write the value out"),
        ("hold_s: 3", "hold_s: !!python/name:os.system 3", 4, "parts.first.hold_s", "plain value"),
        ("hold_s: 3", "{x: 1}: 3", 4, "parts.first", "text as the key"),
    ],
)  # fmt: skip
def test_each_defect_names_line_key_and_expectation(
    tmp_path: Path, old: str, new: str, line: int, key: str, expected: str
) -> None:
    error = refused(tmp_path, GOOD.replace(old, new))
    assert error.place.endswith(f"file.yaml:{line} {key}")
    assert expected in str(error)


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("- a\n", 1, "expected a mapping"),
        ("just text\n", 1, "expected a mapping"),
        ("name: [x\nparts: {}\n", 2, "not valid YAML"),
        ("name: x\n\tparts: {}\n", 2, "not valid YAML"),
        ("name: 'x\n", 2, "not valid YAML"),
        ("name: x\n---\nname: y\n", 2, "second document"),
        ("name: a\nparts: b\x01c\n", 2, "not valid YAML"),
        (b"name: x\nparts: \xff\n", 2, "not UTF-8"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, line: int, words: str
) -> None:
    error = refused(tmp_path, content)
    assert f"file.yaml:{line}" in error.place
    assert words in str(error)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert load(written(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()), Outer).name == "x"


def test_nesting_bombs_end_in_an_error_not_in_the_stack(tmp_path: Path) -> None:
    error = refused(tmp_path, "name: " + "[" * 100_000)
    assert f"deeper than {DEPTH_MAX}" in str(error)


def test_alias_bombs_are_never_expanded(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x]"]
    levels += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert "alias *a0" in str(refused(tmp_path, "\n".join(levels)))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = written(tmp_path, b"")
    os.truncate(path, SIZE_MAX * 1000)
    with pytest.raises(UsageError, match=f"larger than {SIZE_MAX} bytes"):
        read(path)


@pytest.mark.parametrize("make", ["missing", "folder", "fifo", "unreadable"])
def test_what_is_no_readable_file_is_refused(tmp_path: Path, make: str) -> None:
    path = tmp_path / "file.yaml"
    if make == "folder":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)
    elif make == "unreadable":
        path.symlink_to(path)  # a link to itself: fails for root as well
    with pytest.raises(UsageError) as caught:
        read(path)
    assert "file.yaml" in caught.value.place


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("~", None),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("0x10", "0x10"),
        ("9" * 30, float("9" * 30)),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_surprise_nobody(text: str, value: Any) -> None:
    """YAML 1.2's core schema, and nothing that is not a finite number becomes one."""
    got = scalar(text)
    assert got == value
    assert type(got) is type(value)


def test_quotes_make_text(tmp_path: Path) -> None:
    document = read(written(tmp_path, "a: '1'\nb: \"true\"\nc: |\n  2\nd: 3\n"))
    assert document.data == {"a": "1", "b": "true", "c": "2\n", "d": 3}
