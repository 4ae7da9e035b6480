"""What the runs amount to, and the files that say so."""

from __future__ import annotations

import copy
import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chaos.cli import main
from chaos.exitcode import ExitCode
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
def test_the_final_verdict_and_its_exit_code(
    words: dict[str, str], codes: dict[str, int], verdict: str, exit_code: int, bench: Bench
) -> None:
    """A proven failure decides; ready needs a pass everywhere; anything else is not proven."""
    assert bench.begin(ScriptedRunner(words, codes=codes)) == exit_code
    found = bench.state().verdict
    assert found is not None
    assert (found.verdict, found.exit_code) == (verdict, exit_code)
    for name in words if verdict == "NOT PROVEN" else ():
        assert name in found.reason
    root = ET.fromstring(bench.place.junit.read_text())
    broken = [c for c in root.iter("testcase") if c.find("failure") is not None]
    broken += [c for c in root.iter("testcase") if c.find("error") is not None]
    assert bool(broken) is (exit_code != 0), "JUnit is green exactly when the gate is"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"soaks": "c"}, "left out: soak_b"),
        ({"faults": ("none",)}, "no fault was tried"),
    ],
)
def test_a_part_of_the_gate_is_never_ready(asked: dict[str, Any], said: str, bench: Bench) -> None:
    assert bench.begin(ScriptedRunner(), **asked) == ExitCode.INCONCLUSIVE
    found = bench.state().verdict
    assert found is not None and found.verdict == "NOT PROVEN"
    assert said in found.reason


@pytest.mark.parametrize(
    "path", [("chaos",), ("git", "revision"), ("assets", "model_sha256"), ("assets", "llama_build")]
)
def test_runs_of_different_systems_prove_nothing_together(
    path: tuple[str, ...], bench: Bench
) -> None:
    other = copy.deepcopy(PROVENANCE)
    part: Any = other
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = "another"
    assert bench.begin(ScriptedRunner(provenance={C: other})) == ExitCode.INCONCLUSIVE
    found = bench.state().verdict
    assert found is not None
    assert f"the runs differ in {' '.join(path)}" in found.reason


def test_the_changelog_entry_has_what_the_plan_asks_for(bench: Bench) -> None:
    """Section 9: a line for each soak with its outcome, the numbers, the verdict."""
    bench.begin(ScriptedRunner({C_FAULT: "fail", B: "inconclusive"}))
    text = bench.place.changelog.read_text()
    lines = text.splitlines()
    assert lines[0].startswith("# Soak tests, 20")
    assert "- **Soak Test B: OPEN (inconclusive)**" in lines
    assert "- **Soak Test C: FAIL**" in lines
    assert any(line.startswith("  - clean: inconclusive, 1 min 00 s, 3 errors") for line in lines)
    assert "    - Errors: 3 of 3" in lines
    assert "**Verdict: Autonomous loop NEEDS FIXES** (failed: soak_c under llm_timeout)" in lines
    assert sum(line.startswith("chaos run soak_") for line in lines) == 4


def test_junit_has_one_suite_a_run_and_one_for_the_gate(bench: Bench) -> None:
    bench.begin(ScriptedRunner({B_FAULT: "fail"}), fail_fast=True)
    suites = ET.fromstring(bench.place.junit.read_text()).findall("testsuite")
    assert [suite.get("name") for suite in suites] == [B, B_FAULT, "gate"]
    assert [suite.get("failures") for suite in suites] == ["0", "2", "1"]
    not_run = [c.get("name") for c in suites[-1] if c.find("error") is not None]
    assert not_run == [C, C_FAULT]
    for suite in suites:
        assert int(suite.get("tests", "0")) == len(suite.findall("testcase"))


def test_json_on_stdout_is_the_state_and_nothing_else(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ScriptedRunner()
    monkeypatch.setattr("chaos.gate.command.ChildRunner", lambda _display: runner)
    words = ["gate", "--config", str(bench.file), "--runs", str(bench.runs), "--json"]
    assert main(words) == ExitCode.PASS
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert content["verdict"]["verdict"] == "PRODUCTION-READY"
    assert content == json.loads(bench.place.state.read_text())
    assert "gate: 4 runs" in err
    assert main([*words[:-1], "--resume", "latest", "--quiet"]) == ExitCode.PASS
    out, err = capsys.readouterr()
    assert out.startswith("PRODUCTION-READY: ") and out.count("\n") == 1
