from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.history_builder import PlantedRun
from tests.checks.witness_builder import Witnessed


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    """A healthy run under two faults, not yet written."""
    return PlantedRun(tmp_path / "run")


@pytest.fixture
def control(tmp_path: Path) -> PlantedRun:
    """A healthy run without faults, not yet written."""
    return PlantedRun(tmp_path / "run", cuts=())


@pytest.fixture
def witnessed(planted: PlantedRun) -> Witnessed:
    """The same run, with what the system-call witness saw of it."""
    return Witnessed(planted)
