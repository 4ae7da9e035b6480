"""The reference parser reads the metrics file, and its values are those of the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as older_families

from chaos.report.openmetrics import openmetrics_text
from chaos.report.stored import Stored
from tests.checks.history_builder import PlantedRun
from tests.report.hostile import hostile_run, judged


@pytest.fixture
def healthy(tmp_path: Path) -> Stored:
    return judged(PlantedRun(tmp_path / "healthy"))


def test_each_finding_has_one_sample_with_its_outcome(healthy: Stored) -> None:
    families = {f.name: f for f in text_string_to_metric_families(openmetrics_text(healthy))}
    outcomes = families["chaos_finding_outcome"].samples
    assert [(s.labels["check"], s.labels["outcome"]) for s in outcomes] == [
        (f.check, f.outcome) for f in healthy.verdict.findings
    ]
    measured = {s.labels["check"]: s.value for s in families["chaos_finding_measured"].samples}
    for finding in healthy.verdict.findings:
        if isinstance(finding.measured, (int, float)):
            assert measured[finding.check] == finding.measured
        else:
            assert finding.check not in measured
    (exit_code,) = families["chaos_run_exit_code"].samples
    assert exit_code.value == healthy.verdict.exit_code
    (lasted,) = families["chaos_run_duration_seconds"].samples
    assert families["chaos_run_duration_seconds"].unit == "seconds"
    assert lasted.value == healthy.verdict.lasted_s


def test_faults_have_samples_for_proof_and_duration(healthy: Stored) -> None:
    families = {f.name: f for f in text_string_to_metric_families(openmetrics_text(healthy))}
    for family in ("chaos_fault_effect_proven", "chaos_fault_recovery_proven"):
        assert [s.value for s in families[family].samples] == [1, 1]
    assert [s.value for s in families["chaos_fault_duration_seconds"].samples] == [14, 14]


def test_foreign_text_in_labels_is_escaped(tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "hostile")
    run.config["soak"] = 'so"ak\\n\nnew\x00line'
    stored = judged(run)
    families = {f.name: f for f in text_string_to_metric_families(openmetrics_text(stored))}
    (about,) = families["chaos_run_about"].samples
    assert about.labels["soak"] == 'so"ak\\n\nnew\\x00line'


def test_a_run_without_faults_and_without_findings_is_valid_too(tmp_path: Path) -> None:
    stored = judged(PlantedRun(tmp_path / "clean", cuts=()))
    assert list(text_string_to_metric_families(openmetrics_text(stored)))


def test_readers_of_the_older_format_find_the_same_samples(healthy: Stored) -> None:
    text = openmetrics_text(healthy)
    new = {
        (s.name, *s.labels.items()) for f in text_string_to_metric_families(text) for s in f.samples
    }
    old = {(s.name, *s.labels.items()) for f in older_families(text) for s in f.samples}
    assert new == old
    assert text.endswith("# EOF\n")
