"""Workspaces for the tests of the Watcher's pipeline, made by the real programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "images" / "watcher"))

import bootstrap_history
from pipeline_loop import Loop


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after bootstrap and steps 1, 2, 3, with the plan's seed. Tests copy it."""
    return _make(tmp_path_factory.mktemp("template"), 12345)


@pytest.fixture
def make_loop(tmp_path: Path) -> Callable[[int], Loop]:
    """`make_loop(seed)` -> a new workspace with that true seed."""

    def make(seed: int) -> Loop:
        return Loop(_make(tmp_path / f"seed{seed}", seed))

    return make


@pytest.fixture
def loop(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A copy of `template`, which is the current folder."""
    workspace = tmp_path / "workspace"
    shutil.copytree(template, workspace)
    monkeypatch.chdir(workspace)
    return Loop(workspace)


def _make(workspace: Path, seed: int) -> Path:
    workspace.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        bootstrap_history.bootstrap(seed, 5000)
    Loop(workspace).run([1, 2, 3], "normal", "prepare", promote=False)
    return workspace
