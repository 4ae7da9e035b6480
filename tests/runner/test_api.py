"""The Python API: `chaos.open_run`, `chaos.run`, and the public face `chaos.plugin`."""

from __future__ import annotations

from pathlib import Path

import pytest

import chaos
from chaos import plugin
from tests.checks.history_builder import PlantedRun
from tests.integration.command import BRIEF


def test_stored_run_is_opened_with_verdict_findings_and_sql(tmp_path: Path) -> None:
    planted = PlantedRun(tmp_path / "run")
    planted.first_fallback().pop("heuristic_fallback")
    path = planted.write().path
    with chaos.open_run(path) as run:
        assert run.path == path and run.verdict.exit_code == 1
        assert [f.check for f in run.findings if f.outcome == "fail"] == ["heuristic_fallbacks"]
        late = "select count(*) from decisions where end_s > $after_s"
        assert run.sql(late, after_s=0) == [(len(planted.decisions),)]
        with pytest.raises(plugin.UsageError, match="only one `select`"):
            run.sql("delete from decisions")
    assert not (path / "verdict.json").exists(), "opening a run writes nothing"


def test_missing_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(plugin.UsageError, match="no run"):
        chaos.open_run("soak_c/latest", runs=tmp_path)


def test_wrong_options_are_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(plugin.UsageError, match="llm_timeout"):
        chaos.run("soak_b", faults=["llm_timeot"], runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_public_names_exist() -> None:
    assert all(hasattr(plugin, name) for name in plugin.__all__)
    assert chaos.__version__


@pytest.mark.whole_run
@pytest.mark.slow(seconds=60)
@pytest.mark.stack
def test_run_is_executed_and_opened(tmp_path: Path) -> None:
    lengths = {key: BRIEF[key] for key in ("baseline_s", "storm_s", "quiet_s")}
    overrides = [f"{key}={value}" for key, value in lengths.items()]
    with chaos.run("soak_b", seed=7, runs=tmp_path, overrides=overrides) as run:
        assert run.verdict.exit_code == 0, run.verdict.reason
        assert run.sql("select count(*) from decisions") == [(10,)]
