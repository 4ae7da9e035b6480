from __future__ import annotations

from pathlib import Path

import pytest

from chaos.record.recovery_paths import LLM_CLIENT, LLM_DROP
from tests.checks.history_builder import PlantedRun

PATHS = {"llm_timeout": {"triage": LLM_DROP, "reconnection": LLM_CLIENT}}


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    """A healthy run under two faults that names their paths; its folder needs quoting."""
    run = PlantedRun(tmp_path / "a run's folder")
    run.add_event(27.3, "fault_paths", paths=PATHS)
    return run


@pytest.fixture
def control(tmp_path: Path) -> PlantedRun:
    """A healthy run without faults, not yet written."""
    return PlantedRun(tmp_path / "a run's folder", cuts=())
