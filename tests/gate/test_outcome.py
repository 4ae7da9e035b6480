"""The verdict of a gate over its runs, and the files that contain it."""

from __future__ import annotations

import copy
import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from tests.gate.standin import PROVENANCE, Bench, ScriptedRunner

B, B_FAULT, C, C_FAULT = (
    "soak_b clean",
    "soak_b under llm_timeout",
    "soak_c clean",
    "soak_c under llm_timeout",
)


@pytest.mark.parametrize(
    ("words", "codes", "verdict", "exit_code"),
    [
        ({}, {}, "PRODUCTION-READY", 0),
        ({C: "fail"}, {}, "NEEDS FIXES", 1),
        ({C: "fail", B: "invalid"}, {}, "NEEDS FIXES", 1),
        ({C: "fail", B: "inconclusive"}, {}, "NEEDS FIXES", 1),
        ({C: "fail"}, {C: 5}, "NEEDS FIXES", 1),
        ({B: "inconclusive"}, {}, "NOT PROVEN", 3),
        ({B: "unverified"}, {}, "NOT PROVEN", 3),
        ({B: "invalid"}, {}, "NOT PROVEN", 4),
        ({B: "inconclusive", C: "invalid"}, {}, "NOT PROVEN", 4),
        ({}, {B: 5}, "NOT PROVEN", 5),
        ({B: "invalid"}, {C: 5}, "NOT PROVEN", 5),
        ({}, {B: 6}, "NOT PROVEN", 4),
        ({}, {B: -9}, "NOT PROVEN", 4),
    ],
)
def test_the_worst_run_decides_the_verdict_and_its_exit_code(
    words: dict[str, str], codes: dict[str, int], verdict: str, exit_code: int, bench: Bench
) -> None:
    """A failed run means NEEDS FIXES, passes everywhere PRODUCTION-READY, all else NOT PROVEN."""
    assert bench.begin(ScriptedRunner(words, codes=codes)) == exit_code
    final = bench.state().verdict
    assert final is not None
    assert (final.verdict, final.exit_code) == (verdict, exit_code)
    for name in words if verdict == "NOT PROVEN" else ():
        assert name in final.reason
    root = ET.fromstring(bench.folder.junit.read_text())
    broken = [c for c in root.iter("testcase") if c.find("failure") is not None]
    broken += [c for c in root.iter("testcase") if c.find("error") is not None]
    assert bool(broken) is (exit_code != 0), "JUnit is green exactly when the gate is"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"soaks": "c"}, "left out: soak_b"),
        ({"fault": ("none",)}, "no fault was tried"),
        ({"witness": "none"}, "without witnesses"),
    ],
)
def test_a_partial_gate_is_never_production_ready(
    options: dict[str, Any], reason: str, bench: Bench
) -> None:
    assert bench.begin(ScriptedRunner(), **options) == ExitCode.INCONCLUSIVE
    final = bench.state().verdict
    assert final is not None and final.verdict == "NOT PROVEN"
    assert reason in final.reason


LOCAL = [
    ("chaos",),
    ("git", "revision"),
    ("git", "dirty"),
    ("assets", "model_sha256"),
    ("assets", "llama_build"),
    ("assets", "toxiproxy_version"),
    ("proxy", "kind"),
    ("watcher", "programs_sha256"),
]
IMAGES = {name: f"sha256:{name}" for name in ("injector", "llm", "toxiproxy", "watcher")}
# The provenance of a run in containers: the digests of the images identify the programs.
IN_CONTAINERS = {**PROVENANCE, "watcher": None, "containers": {"digests": IMAGES}}


def changed(original: dict[str, Any], path: tuple[str, ...], value: Any = ...) -> dict[str, Any]:
    """Return a copy with `value` at `path`; without `value`, the key is removed."""
    other = copy.deepcopy(original)
    part: Any = other
    for key in path[:-1]:
        part = part[key]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return other


def reason_of(bench: Bench, provenance: dict[str, dict[str, Any]], **options: Any) -> str:
    """Run a gate whose runs pass. Returns the reason of NOT PROVEN, or "" for PRODUCTION-READY."""
    code = bench.begin(ScriptedRunner(provenance=provenance), **options)
    final = bench.state().verdict
    assert final is not None
    assert (final.verdict, code) in (
        ("PRODUCTION-READY", ExitCode.PASS),
        ("NOT PROVEN", ExitCode.INCONCLUSIVE),
    )
    return final.reason if code else ""


@pytest.mark.parametrize("path", LOCAL)
def test_a_difference_between_the_runs_is_not_proven(path: tuple[str, ...], bench: Bench) -> None:
    other = changed(PROVENANCE, path, "another")
    assert f"the runs differ in {' '.join(path)}: " in reason_of(bench, {C: other})


@pytest.mark.parametrize("path", LOCAL)
def test_a_value_missing_from_a_run_is_not_proven(path: tuple[str, ...], bench: Bench) -> None:
    without = changed(PROVENANCE, path)
    reason = f"{' '.join(path)} is not recorded in 1 of 4 runs"
    assert reason in reason_of(bench, {C: without})


def test_runs_without_provenance_are_not_proven(bench: Bench) -> None:
    reason = reason_of(bench, {name: {} for name in (B, B_FAULT, C, C_FAULT)})
    assert all(f"{' '.join(path)} is not recorded in 4 of 4 runs" in reason for path in LOCAL)


def test_no_revision_in_all_runs_is_no_difference(bench: Bench) -> None:
    """Outside a checkout there is no revision."""
    installed = {**PROVENANCE, "git": {"revision": None, "dirty": None}}
    assert reason_of(bench, dict.fromkeys((B, B_FAULT, C, C_FAULT), installed)) == ""


def test_a_revision_in_only_some_runs_is_a_difference(bench: Bench) -> None:
    without = {**PROVENANCE, "git": {"revision": None, "dirty": False}}
    assert "the runs differ in git revision: abc, none" in reason_of(bench, {C: without})


def test_runs_with_the_same_images_are_production_ready(bench: Bench) -> None:
    runs = dict.fromkeys((B, B_FAULT, C, C_FAULT), IN_CONTAINERS)
    assert reason_of(bench, runs, backend="docker") == ""


@pytest.mark.parametrize(
    ("digests", "reason"),
    [
        ({**IMAGES, "watcher": "sha256:other"}, "the runs differ in containers digests watcher: "),
        ({"llm": "sha256:llm"}, "containers digests watcher is not recorded in 1 of 4 runs"),
        ({}, "the runs differ in containers digests: "),
        (None, "containers digests is not recorded in 1 of 4 runs"),
    ],
)
def test_runs_with_different_or_unknown_images_are_not_proven(
    bench: Bench, digests: dict[str, str] | None, reason: str
) -> None:
    runs = dict.fromkeys((B, B_FAULT, C_FAULT), IN_CONTAINERS)
    runs[C] = changed(IN_CONTAINERS, ("containers", "digests"), digests)
    assert reason in reason_of(bench, runs, backend="docker")


def test_the_changelog_entry_has_the_lines_that_the_plan_requires(bench: Bench) -> None:
    """Section 9 of the plan: a line per soak with its outcome, the numbers, the verdict."""
    bench.begin(ScriptedRunner({C_FAULT: "fail", B: "inconclusive"}))
    text = bench.folder.changelog.read_text()
    lines = text.splitlines()
    assert lines[0].startswith("# Soak tests, 20")
    assert "- **Soak Test B: OPEN (inconclusive)**" in lines
    assert "- **Soak Test C: FAIL**" in lines
    assert any(line.startswith("  - clean: inconclusive, 1 min 00 s, 3 errors") for line in lines)
    assert "    - Errors: 3 of 3" in lines
    assert "**Verdict: Autonomous loop NEEDS FIXES** (failed: soak_c under llm_timeout)" in lines
    assert sum(line.startswith("chaos run soak_") for line in lines) == 4


def test_junit_has_one_suite_per_run_and_one_for_the_gate(bench: Bench) -> None:
    bench.begin(ScriptedRunner({B_FAULT: "fail"}), fail_fast=True)
    suites = ET.fromstring(bench.folder.junit.read_text()).findall("testsuite")
    assert [suite.get("name") for suite in suites] == [B, B_FAULT, "gate"]
    assert [suite.get("failures") for suite in suites] == ["0", "2", "1"]
    not_run = [c.get("name") for c in suites[-1] if c.find("error") is not None]
    assert not_run == [C, C_FAULT]
    for suite in suites:
        assert int(suite.get("tests", "0")) == len(suite.findall("testcase"))


def test_json_output_is_only_the_state(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ScriptedRunner()
    monkeypatch.setattr("chaos.gate.command.Runner", lambda _display: runner)
    words = ["gate", "--config", str(bench.file), "--runs", str(bench.runs), "--json"]
    assert main(words) == ExitCode.PASS
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert content["verdict"]["verdict"] == "PRODUCTION-READY"
    assert content == json.loads(bench.folder.state.read_text())
    assert "gate: 4 runs" in err
    assert main([*words[:-1], "--resume", "latest", "--quiet"]) == ExitCode.PASS
    out, err = capsys.readouterr()
    assert out.startswith("PRODUCTION-READY: ") and out.count("\n") == 1
