"""What is attested of a gate: the daemon, the configuration, the tests, the word."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.attest.content import statement_of
from chaos.attest.evidence import Evidence, read_evidence
from chaos.attest.measured import read_measured
from chaos.attest.statement import Descriptor, Extension, Statement
from chaos.base.errors import EnvironmentProblem
from chaos.gate.state import GateDir
from chaos.gate.steps import config_digest
from chaos.sweep.state import Outcome
from tests.attest.gates import (
    DOCKER,
    IMAGES,
    LOCAL,
    NOW_S,
    PUBLISHED,
    STEPS,
    WORKER,
    finished_gate,
    sha256,
)
from tests.gate.standin import SWEPT_FILE, Bench, ScriptedRunner, Swept


def of(gate: GateDir | Evidence) -> Statement:
    evidence = gate if isinstance(gate, Evidence) else read_evidence(gate)
    return statement_of(evidence, measured=read_measured(), now_epoch_s=NOW_S, valid_days=30)


def extension(statement: Statement) -> Extension:
    own = statement.predicate.chaos_gate
    assert isinstance(own, Extension)
    return own


def named(descriptors: list[Descriptor]) -> dict[str, Descriptor]:
    assert len({one.name for one in descriptors}) == len(descriptors)
    return {one.name: one for one in descriptors}


def test_ready_gate_is_passed(gate: GateDir) -> None:
    statement = of(gate)
    predicate = statement.predicate
    assert predicate.result == "PASSED"
    assert (predicate.failed_tests, predicate.warned_tests) == ([], [])
    assert predicate.passed_tests == [
        "gate",
        *(name for step in STEPS for name in (step, f"{step} / errors")),
    ]
    own = extension(statement)
    assert (own.verdict, own.profile) == ("PRODUCTION-READY", "quick")
    assert (own.created, own.expires) == ("2027-01-15T08:00:00Z", "2027-02-14T08:00:00Z")
    for run, step in zip(own.runs, gate.read().steps, strict=True):
        assert (run.name, run.verdict_sha256) == (step.name, step.verdict_sha256)
        assert run.record_sha256 == step.record_sha256


@pytest.mark.parametrize("word", ["fail", "inconclusive", "unverified", "invalid"])
def test_run_that_does_not_pass_makes_the_gate_failed(word: str, tmp_path: Path) -> None:
    """Not proven is not passed."""
    statement = of(finished_gate(tmp_path, {"soak_c clean": word}))
    predicate = statement.predicate
    assert predicate.result == "FAILED"
    assert predicate.failed_tests == ["gate", "soak_c clean", "soak_c clean / errors"]
    assert "soak_b clean" in predicate.passed_tests
    assert extension(statement).verdict == ("NEEDS FIXES" if word == "fail" else "NOT PROVEN")


def test_incomplete_gate_whose_runs_all_pass_is_failed(tmp_path: Path) -> None:
    statement = of(finished_gate(tmp_path, soaks="b"))
    assert statement.predicate.result == "FAILED"
    assert statement.predicate.failed_tests == ["gate"]
    assert "left out: soak_c" in extension(statement).reason


def test_runs_that_left_something_behind_are_passed_with_a_warning(gate: GateDir) -> None:
    evidence = read_evidence(gate)
    evidence.runs[0].step.left.append("process 7")
    predicate = of(evidence).predicate
    assert predicate.warned_tests == ["soak_b clean"]
    assert "soak_b clean" not in predicate.passed_tests


def test_skipped_finding_is_in_no_list(gate: GateDir) -> None:
    evidence = read_evidence(gate)
    findings: list[Any] = evidence.runs[0].verdict.findings
    findings.append(msgspec.structs.replace(findings[0], check="gpu_memory", outcome="skipped"))
    predicate = of(evidence).predicate
    listed = [*predicate.passed_tests, *predicate.warned_tests, *predicate.failed_tests]
    assert not any("gpu_memory" in name for name in listed)


def test_check_with_one_failed_finding_of_two_has_not_passed(gate: GateDir) -> None:
    evidence = read_evidence(gate)
    findings: list[Any] = evidence.runs[0].verdict.findings
    findings.append(msgspec.structs.replace(findings[0], outcome="fail"))
    predicate = of(evidence).predicate
    assert "soak_b clean / errors" in predicate.failed_tests
    assert "soak_b clean / errors" not in predicate.passed_tests


def test_subject_of_a_local_daemon_is_its_program_files(gate: GateDir) -> None:
    """A file that was absent has no digest, and is left out."""
    subject = named(of(gate).subject)
    assert subject["daemon/worker.py"].digest == {"sha256": sha256(WORKER)}
    assert subject["programs"].digest == {"sha256": LOCAL["watcher"]["programs_sha256"]}
    assert len(subject) == 2


def test_subject_in_containers_is_the_daemons_image_alone(tmp_path: Path) -> None:
    """By the engine's id, and by the digests of registries; other images are configuration."""
    statement = of(finished_gate(tmp_path, provenance=DOCKER, backend="docker"))
    subject = named(statement.subject)
    assert {name: one.digest["sha256"] for name, one in subject.items()} == {
        "watcher": IMAGES["watcher"].removeprefix("sha256:"),
        "registry.example/me/watcher": PUBLISHED.partition("sha256:")[2],
    }
    used = named(statement.predicate.configuration)
    assert used["image llm"].digest == {"sha256": IMAGES["llm"].removeprefix("sha256:")}
    assert "image watcher" not in used


def test_gate_that_recorded_no_programs_is_refused(tmp_path: Path) -> None:
    gate = finished_gate(tmp_path, provenance={**LOCAL, "watcher": None})
    with pytest.raises(EnvironmentProblem, match="no run recorded which programs"):
        of(gate)


def test_runs_of_different_programs_are_all_named(tmp_path: Path) -> None:
    other = {"programs_sha256": sha256(b"other"), "programs": {"daemon/worker.py": sha256(b"2")}}
    bench = Bench(tmp_path)
    provenance = dict.fromkeys(STEPS, LOCAL) | {STEPS[3]: {**LOCAL, "watcher": other}}
    bench.begin(ScriptedRunner(provenance=provenance))
    statement = of(bench.folder)
    assert statement.predicate.result == "FAILED"
    digests = {one.digest["sha256"] for one in statement.subject if one.name == "daemon/worker.py"}
    assert digests == {sha256(WORKER), sha256(b"2")}


def test_very_many_files_are_attested_together(tmp_path: Path) -> None:
    watcher = {
        "programs_sha256": sha256(b"all"),
        "programs": {f"{n}.js": sha256(b"x") for n in range(2001)},
    }
    subject = of(finished_gate(tmp_path, provenance={**LOCAL, "watcher": watcher})).subject
    assert [one.name for one in subject] == ["programs"]


def test_configuration_names_what_was_used_by_digest(gate: GateDir, passed_gate: GateDir) -> None:
    used = named(of(gate).predicate.configuration)
    assert all(one.digest for one in used.values())
    state = gate.read()
    file = Path(state.request.file).read_bytes()
    assert used["gate file"].digest == {"sha256": hashlib.sha256(file).hexdigest()}
    assert used["gate file"].annotations["seed"] == 7
    assert used["model"].digest == {"sha256": LOCAL["assets"]["model_sha256"]}
    assert used["chaos revision"].digest == {"gitCommit": "a" * 40}
    assert base64.b64decode(used["llama"].content) == b"xllamacpp 1"
    assert base64.b64decode(used["toxiproxy"].content) == b"toxiproxy 2"
    for step in state.steps:
        run = gate.run(step)
        assert run is not None
        config = run.read_json(run.config)
        assert used[f"plan of {step.name}"].digest == {"sha256": config_digest(config)}
        assert used["target"].digest == {"sha256": config_digest(config["target"])}
        schedule = used[f"schedule of {step.name}"]
        assert schedule.annotations == {"hash": step.schedule_hash}
        assert schedule.digest["sha256"].startswith(step.schedule_hash)


def test_installed_chaos_has_no_revision_and_says_its_version(tmp_path: Path) -> None:
    provenance = {**LOCAL, "git": {"revision": None, "dirty": None}}
    used = named(of(finished_gate(tmp_path, provenance=provenance)).predicate.configuration)
    assert "chaos revision" not in used and base64.b64decode(used["chaos"].content) == b"0.1.0"


def _swept_gate(folder: Path, *outcomes: Outcome) -> GateDir:
    bench = Bench(folder, SWEPT_FILE)
    swept = Swept(*outcomes, provenance=LOCAL)
    bench.begin(ScriptedRunner(provenance=dict.fromkeys(STEPS, LOCAL), swept=swept))
    return bench.folder


def test_crash_sweep_of_the_gate_is_a_test(tmp_path: Path) -> None:
    statement = of(_swept_gate(tmp_path))
    assert statement.predicate.result == "PASSED"
    assert "crash sweep" in statement.predicate.passed_tests
    (result,) = [run for run in extension(statement).runs if run.name == "crash sweep"]
    assert result.verdict == "pass" and len(result.record_sha256) == 64


def test_crash_sweep_that_failed_is_a_failed_test(tmp_path: Path) -> None:
    statement = of(_swept_gate(tmp_path, "survived", "failed"))
    assert statement.predicate.result == "FAILED"
    assert "crash sweep" in statement.predicate.failed_tests


def test_changed_crash_sweep_is_refused(tmp_path: Path) -> None:
    gate = _swept_gate(tmp_path)
    entry = gate.read().sweep
    folder = None if entry is None else gate.sweep(entry)
    assert folder is not None
    folder.state.write_text(folder.state.read_text().replace('"survived"', '"survived" '))
    with pytest.raises(EnvironmentProblem, match="the crash sweep was changed"):
        read_evidence(gate)
