"""Wheels for the images: downloaded once, by hash only, all or none. Without a network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from chaos.assets.command import WrongChecksum
from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker import wheels

PURE = "tiny-1.0-py3-none-any.whl"
NATIVE = "tiny-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
FOREIGN = "tiny-1.0-cp39-cp39-win_amd64.whl"


def made_wheel(folder: Path, name: str, content: str = "x = 1\n") -> str:
    """A wheel that pip accepts; its SHA-256."""
    folder.mkdir(exist_ok=True)
    tag = "-".join(name.removesuffix(".whl").split("-")[2:])
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("tiny.py", content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which pip looks for wheels."""
    monkeypatch.setenv("CHAOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def locked(folder: Path, *sha256: str) -> Path:
    lock = folder / "requirements.lock"
    hashes = " ".join(f"--hash=sha256:{one}" for one in sha256)
    lock.write_text(f"tiny==1.0 {hashes}\n")
    return lock


def test_wheel_is_downloaded_once_and_kept(shelf: Path, tmp_path: Path) -> None:
    lock = locked(tmp_path, made_wheel(shelf, PURE))
    said: list[str] = []
    (first,) = wheels.collected("x", lock, "x86_64", said.append)
    assert first.name == PURE and said == ["image x: collecting 1 packages"]
    (shelf / PURE).unlink()
    assert wheels.collected("x", lock, "x86_64", said.append) == [first]
    assert len(said) == 1


def test_wheel_is_for_the_images_python_and_platform(shelf: Path, tmp_path: Path) -> None:
    """Whatever Python and machine the harness runs on."""
    lock = locked(tmp_path, made_wheel(shelf, FOREIGN), made_wheel(shelf, NATIVE))
    (found,) = wheels.collected("x", lock, "x86_64", print)
    assert found.name == NATIVE


def test_wheel_with_another_hash_is_refused(shelf: Path, tmp_path: Path) -> None:
    made_wheel(shelf, PURE)
    with pytest.raises(WrongChecksum):
        wheels.collected("x", locked(tmp_path, "0" * 64), "x86_64", print)


def test_changed_wheel_in_the_cache_is_downloaded_again(shelf: Path, tmp_path: Path) -> None:
    lock = locked(tmp_path, made_wheel(shelf, PURE))
    (kept,) = wheels.collected("x", lock, "x86_64", print)
    right = kept.read_bytes()
    kept.write_bytes(b"spoilt")
    (again,) = wheels.collected("x", lock, "x86_64", print)
    assert again.read_bytes() == right


def test_failed_download_has_a_next_step(shelf: Path, tmp_path: Path) -> None:
    shelf.mkdir()
    with pytest.raises(EnvironmentProblem) as caught:
        wheels.collected("x", locked(tmp_path, "0" * 64), "x86_64", print)
    assert "cannot be collected" in caught.value.message
    assert "PIP_FIND_LINKS" in caught.value.next_step
