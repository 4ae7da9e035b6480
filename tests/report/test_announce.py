"""The exit code of a run is that of its verdict, also with a closed reader; a defect gives 4."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.record.rundir import RunDir
from tests.checks.history_builder import PlantedRun

REPO = Path(__file__).resolve().parents[2]

# Stands for a run that has been lived: `assemble` gives one whose record is already written.
INNER = """
import runpy, sys
from types import SimpleNamespace
import chaos.runner.assembly, chaos.runner.judge, chaos.report.write

nothing = lambda *args, **kwargs: None
chaos.runner.assembly.assemble = lambda *args, **kwargs: SimpleNamespace(
    run=SimpleNamespace(execute=nothing),
    view=SimpleNamespace(start=nothing, stop=nothing),
    history=SimpleNamespace(close=nothing),
)
chaos.report.write.write_page = nothing  # drawing takes seconds, and is not what is asked here
{planted}
sys.argv = ["chaos.runner.inner", {run!r}, "--display", {display!r}]
runpy.run_module("chaos.runner.inner", run_name="__main__")
"""
CRASH = "def crash(run): raise RuntimeError('planted')\nchaos.runner.judge.judge = crash"


def healthy(folder: Path) -> RunDir:
    return PlantedRun(folder / "run").ask_only("errors").write()


def failing(folder: Path) -> RunDir:
    planted = PlantedRun(folder / "run").ask_only("errors")
    planted.files["logs/watcher.log"] = "Traceback (most recent call last):\n"
    return planted.write()


def ended(command: list[str], *, read: bool) -> tuple[int, str]:
    """(exit code, stderr) of a command whose stdout has an open or a closed reader."""
    out, write = os.pipe()
    if not read:
        os.close(out)
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    environment = {k: v for k, v in environment.items() if not k.startswith("GITHUB_")}
    try:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.DEVNULL if read else write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(write)
        if read:
            os.close(out)
    return done.returncode, done.stderr


def inner(run: RunDir, display: str = "lines", planted: str = "") -> list[str]:
    return ["-c", INNER.format(run=str(run.path), display=display, planted=planted)]


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("display", ["lines", "quiet", "json"])
def test_a_closed_reader_does_not_change_the_exit_code_of_a_run(
    tmp_path: Path, display: str, read: bool
) -> None:
    code, told = ended(inner(healthy(tmp_path), display), read=read)
    assert (code, "Traceback" in told) == (ExitCode.PASS, False), told


def test_a_failed_verdict_keeps_its_exit_code_with_a_closed_reader(tmp_path: Path) -> None:
    code, told = ended(inner(failing(tmp_path)), read=False)
    assert (code, "Traceback" in told) == (ExitCode.FAIL, False), told


def test_a_defect_after_the_run_is_invalid_not_a_failure_of_the_watcher(tmp_path: Path) -> None:
    run = healthy(tmp_path)
    code, told = ended(inner(run, planted=CRASH), read=True)
    assert (code, "defect of chaos itself" in told) == (ExitCode.INVALID, True), told
    assert "RuntimeError: planted" in (run.logs / "harness.log").read_text()


@pytest.mark.parametrize(("make", "code"), [(healthy, ExitCode.PASS), (failing, ExitCode.FAIL)])
def test_check_ends_with_the_verdict_without_a_reader(
    tmp_path: Path, make: object, code: ExitCode
) -> None:
    run = make(tmp_path)  # type: ignore[operator]
    found, told = ended(["-m", "chaos", "check", str(run.path)], read=False)
    assert (found, "Traceback" in told) == (code, False), told
