"""The SHA-256 of the Watcher's programs changes with them, and with nothing else."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.record.target import Target
from chaos.stack.programs import described, programs_sha256
from chaos.stack.workspace import install


def test_hash_does_not_depend_on_the_folder(
    tiny_target: Target, tiny_images: Path, tmp_path: Path
) -> None:
    before = programs_sha256(tiny_target, tiny_images)
    shutil.copytree(tiny_images, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "tiny" / "__pycache__" / "new.pyc").write_bytes(b"cache")
    (tmp_path / "elsewhere" / "tiny" / ".ruff_cache").write_bytes(b"cache")
    assert programs_sha256(tiny_target, tmp_path / "elsewhere") == before


@pytest.mark.parametrize("name", ["tiny/tiny_watcher.py", "tiny/policies.json", "tiny/new.py"])
def test_edited_or_added_file_changes_the_hash(
    tiny_target: Target, tiny_images: Path, name: str
) -> None:
    before = programs_sha256(tiny_target, tiny_images)
    with (tiny_images / name).open("a") as stream:
        stream.write("\n")
    assert programs_sha256(tiny_target, tiny_images) != before


def test_hash_covers_every_installed_file(
    tiny_target: Target, tiny_images: Path, tmp_path: Path
) -> None:
    """The hash must cover the same files that `install` copies."""
    copied = tmp_path / "w"
    install(tiny_target, tiny_images, copied)
    names = sorted(str(p.relative_to(copied)) for p in copied.rglob("*") if p.is_file())
    assert names == ["policies.json", "tiny_watcher.py"]
    for name in names:
        before = programs_sha256(tiny_target, tiny_images)
        (tiny_images / "tiny" / name).write_text("changed")
        assert programs_sha256(tiny_target, tiny_images) != before, name


def test_each_file_is_named_with_its_own_hash(tiny_target: Target, tiny_images: Path) -> None:
    before = described(tiny_target, tiny_images)
    assert before["programs_sha256"] == programs_sha256(tiny_target, tiny_images)
    (policies,) = (place for place in before["programs"] if place.endswith("policies.json"))
    content = b"changed"
    (tiny_images / "tiny" / "policies.json").write_bytes(content)
    after = described(tiny_target, tiny_images)
    assert after["programs"][policies] == hashlib.sha256(content).hexdigest()
    assert after["programs_sha256"] != before["programs_sha256"]
    others = {place for place in before["programs"] if place != policies}
    assert others and all(after["programs"][one] == before["programs"][one] for one in others)


def test_hash_covers_programs_that_commands_name(
    tiny_target: Target, tiny_images: Path, tmp_path: Path
) -> None:
    """A user's own Watcher may be in any folder."""
    own = tmp_path / "own.py"
    own.write_text("1")
    for word, path in ((str(own), own), ("{programs}/tiny/own.py", tiny_images / "tiny/own.py")):
        path.write_text("1")
        watcher = replace(tiny_target.watcher, start=["{python}", word])
        target = replace(tiny_target, watcher=watcher)
        before = programs_sha256(target, tiny_images)
        path.write_text("2")
        assert programs_sha256(target, tiny_images) != before


def test_missing_program_does_not_raise(tiny_target: Target, tmp_path: Path) -> None:
    assert len(programs_sha256(tiny_target, tmp_path / "nowhere")) == 64
