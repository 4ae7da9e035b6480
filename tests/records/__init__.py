"""Recorded real runs, unpacked for a test."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from chaos.record.rundir import RunDir

_HERE = Path(__file__).parent
EXPECTED: dict[str, dict[str, Any]] = json.loads((_HERE / "expected.json").read_text("utf-8"))


def unpacked(name: str, folder: Path) -> RunDir:
    """The recorded run `name`, unpacked into `folder`."""
    with tarfile.open(_HERE / f"{name}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return RunDir(folder)
