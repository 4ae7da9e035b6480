"""Fixtures of the workloads' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soaks.ground import ClockedHistory, Ground


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[ClockedHistory]:
    history = ClockedHistory(tmp_path / "history.jsonl", "test")
    yield history
    history.close()


@pytest.fixture
def ground(tmp_path: Path, clock: ClockedHistory) -> Ground:
    return Ground(tmp_path, clock)
