"""A campaign of a real run: made in a slot, moved to its place, judged again there, asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.record.owner import processes_of
from chaos.record.rundir import RunDir

pytestmark = [pytest.mark.stack, pytest.mark.whole_run, pytest.mark.slow(seconds=60)]


def test_a_real_run_is_whole_in_its_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["campaign", "--soak", "soak_c", "--set", "storm_s=10", "--slots", "1"]
    assert main([*words, "--runs", str(tmp_path), "--quiet"]) == ExitCode.PASS
    (folder,) = (tmp_path / "campaign").iterdir()
    run = RunDir(folder / "runs" / "00001" / "1")
    assert not (folder / "scratch").exists()
    verdict = run.read_json(run.verdict)
    assert verdict["verdict"] == "pass"
    assert processes_of(verdict["run_id"]) == []
    capfd.readouterr()
    assert main(["check", str(run.path), "--quiet"]) == ExitCode.PASS
    assert run.read_json(run.verdict)["findings"] == verdict["findings"]
    capfd.readouterr()
    query = "select verdict, exit_code, seed from runs"
    assert main(["sql", str(folder), query, "--json"]) == ExitCode.PASS
    expected = [{"verdict": "pass", "exit_code": 0, "seed": 1}]
    assert json.loads(capfd.readouterr().out) == expected
    assert main(["campaign", "--resume", str(folder), "--quiet"]) == ExitCode.PASS
    assert [path.name for path in (folder / "runs" / "00001").iterdir()] == ["1"]
