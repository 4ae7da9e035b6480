from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.history_builder import PlantedRun


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    """A healthy run under two faults, not yet written."""
    return PlantedRun(tmp_path / "run")


@pytest.fixture
def control(tmp_path: Path) -> PlantedRun:
    """A healthy run without faults, not yet written."""
    return PlantedRun(tmp_path / "run", cuts=())
