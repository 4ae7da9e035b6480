"""What costs much is slow, and the costs are those that were measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import costs

MODULE = """
import pytest
def burn(cpu_s):
    import time
    while time.process_time() < cpu_s:
        pass
@pytest.mark.parametrize("cpu_s", [1.2, 1.4])
def test_dear(cpu_s):
    burn(cpu_s)
def test_cheap():
    pass
"""


def marked(name: str, *, declared: bool = False) -> list[Any]:
    """The marks that a collected test (a stand-in) gets."""
    added: list[Any] = []
    found = pytest.mark.slow if declared else None
    stand_in: Any = SimpleNamespace(
        nodeid=name, get_closest_marker=lambda _name: found, add_marker=added.append
    )
    costs.mark_cost(stand_in)
    return added


def test_only_what_was_measured_and_not_declared_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "costs", lambda: {"a.py::dear": 1.5})
    assert [mark.kwargs for mark in marked("a.py::dear[x]")] == [{"seconds": 1.5}]
    assert marked("a.py::dear", declared=True) == []
    assert marked("a.py::cheap") == []


def test_what_costs_as_much_as_a_whole_run_is_left_to_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = costs._KEPT[0]
    monkeypatch.setattr(costs, "costs", lambda: {"a.py::dear": 8.0, kept: 40.0})
    assert [mark.name for mark in marked("a.py::dear[x]")] == ["slow", "whole_run"]
    assert [mark.name for mark in marked("a.py::dear", declared=True)] == ["whole_run"]
    assert [mark.name for mark in marked(kept)] == ["slow"]


def test_the_runs_that_are_kept_exist(repo: Path) -> None:
    for name in costs._KEPT:
        path, _, function = name.partition("::")
        assert f"def {function}(" in (repo / path).read_text(encoding="utf-8")


def test_costs_are_measured_and_written_by_the_function(tmp_path: Path, repo: Path) -> None:
    """Of a session of its own, with the module copied beside its tests."""
    (tmp_path / "costs.py").write_text((repo / "tests" / "costs.py").read_text())
    (tmp_path / "costs.json").write_text('{"test_it.py::test_cheap": 3.0, "other.py::test_x": 2.0}')
    (tmp_path / "test_it.py").write_text(MODULE)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "costs", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "costs.json").read_text()
    assert '"other.py::test_x": 2.0' in text, "what was not run stays"
    assert "test_cheap" not in text and "test_it.py::test_dear" in text
