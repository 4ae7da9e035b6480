"""Files below a folder are opened without following a link, and nothing else blocks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.base.below import is_regular, open_below, read_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in" / "file").write_text("text")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "in" / "loop").symlink_to("loop")
    (root / "way").symlink_to(tmp_path)
    (root / "good").symlink_to("in/file")
    os.mkfifo(root / "pipe")
    return root


def test_a_regular_file_is_read(folder: Path) -> None:
    assert read_below(folder, "in/file", 4) == b"text"
    assert is_regular(folder, "in/file")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "/",
            "../secret",
            "in/../../secret",
            "/etc/passwd",
            "in//file",
            "in/./file",
        ),
        *("link", "way/secret", "good", "in/loop", "pipe", "in", "absent", "in/file/more", "a\0b"),
        "x" * 5000,
    ],
)
def test_anything_else_is_refused_at_once(folder: Path, name: str) -> None:
    with pytest.raises(OSError):
        open_below(folder, name)
    assert not is_regular(folder, name)


def test_a_file_larger_than_the_limit_is_refused(folder: Path) -> None:
    with pytest.raises(OSError, match="larger"):
        read_below(folder, "in/file", 3)


def test_no_descriptor_is_left_open(folder: Path) -> None:
    before = descriptors()
    for name in ("in/file", "link", "way/secret", "in/loop", "pipe", "absent", "in/absent"):
        is_regular(folder, name)
    assert descriptors() == before


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
