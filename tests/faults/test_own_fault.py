"""The example of docs/own-fault.md: registered by its entry point, run on the real stack."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.faults.on_stack import REPO

EXAMPLE = REPO / "docs" / "examples" / "own_fault"


def installed(folder: Path, *, entry: str = "") -> dict[str, str]:
    """What `pip install` of the example leaves, in a folder of the test; the environment to it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, value),) = project["entry-points"]["chaos.faults"].items()
    info = folder / "chaos_policies_gone-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[chaos.faults]\n{name} = {entry or value}\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), str(folder), str(EXAMPLE)])}


def run(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env=env, cwd=REPO, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_example_is_listed(tmp_path: Path) -> None:
    done = run(installed(tmp_path), "-m", "chaos", "faults", "policies_gone")
    assert done.returncode == 0, done.stderr
    assert "group: other" in done.stdout and "Work resumes" in done.stdout


@pytest.mark.stack
@pytest.mark.slow
def test_the_example_is_proven_on_the_real_stack_and_its_twin_is_not(tmp_path: Path) -> None:
    env = installed(tmp_path)
    done = run(env, "-m", "tests.faults.on_stack", "policies_gone:hold=3s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "policies_gone:hold=3s: ok" in done.stdout


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("policies_gone:nothing", "cannot be loaded"),
        ("no_such_module:Kind", "cannot be loaded"),
        ("pathlib:Path", "not a subclass"),
        ("chaos.faults.base:Fault", "lacks"),
    ],
)
def test_an_invalid_entry_point_is_refused(tmp_path: Path, entry: str, why: str) -> None:
    done = run(installed(tmp_path, entry=entry), "-m", "chaos", "faults")
    assert done.returncode == 2, done.stdout + done.stderr
    assert why in done.stderr and "policies_gone" in done.stderr
    assert "Traceback" not in done.stderr
