"""Fixtures of the Watcher's tests: a workspace with a stand-in LLM, and the agent importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
IMAGE = HERE.parent.parent / "images" / "watcher"
for folder in (str(HERE), str(IMAGE)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from watcher_lab import Lab  # noqa: E402
from wire_stand_in import StandIn  # noqa: E402


@pytest.fixture
def wire() -> Iterator[StandIn]:
    """The stand-in for the LLM server and its supervisor."""
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def lab(tmp_path: Path, wire: StandIn) -> Iterator[Lab]:
    """A workspace with the real agent, a tiny pipeline and the stand-in LLM."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with Lab(workspace, wire) as lab:
        yield lab
