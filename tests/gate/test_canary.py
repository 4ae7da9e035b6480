"""The canary is caught only if its run fails by the right check."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import Finding, Outcome
from chaos.checks.verdict import Verdict, merged
from chaos.gate.canary import MUST_FAIL, canary_plan, problem_with
from chaos.plan.schedule import draw
from tests.integration.command import chaos


def verdict(**outcomes: Outcome) -> Verdict:
    findings = [
        Finding(check=check, title=check, outcome=outcome, summary="planted")
        for check, outcome in outcomes.items()
    ]
    word, reason = merged(findings)
    return Verdict(
        verdict=word, exit_code=0, reason=reason, run_id="", soak="soak_c", title="", profile="",
        seed=1, schedule_hash="", stopped="complete", lasted_s=1.0, findings=findings, faults=[],
        notes=[], reproduce="",
    )  # fmt: skip


def test_a_failure_by_the_right_check_is_no_problem() -> None:
    caught = verdict(**{MUST_FAIL: "fail", "errors": "pass"})
    assert problem_with(ExitCode.FAIL, caught) == ""


@pytest.mark.parametrize(
    ("code", "outcomes", "text"),
    [
        (ExitCode.PASS, {MUST_FAIL: "pass"}, "passed"),
        (ExitCode.FAIL, {MUST_FAIL: "pass", "errors": "fail"}, "not by"),
        (ExitCode.INVALID, {MUST_FAIL: "fail"}, "exit code 4"),
        (ExitCode.INCONCLUSIVE, {MUST_FAIL: "unverified"}, "exit code 3"),
    ],
)
def test_any_other_result_is_a_problem(code: int, outcomes: dict[str, Outcome], text: str) -> None:
    assert text in problem_with(code, verdict(**outcomes))


def test_a_missing_verdict_is_a_problem() -> None:
    assert "without a verdict" in problem_with(4, None)


def test_the_plan_is_soak_c_with_the_defective_program() -> None:
    plan = canary_plan(3, "namespaces")
    assert plan.soak == "soak_c"
    assert plan.target.watcher.start == ["{python}", "canary.py", "--daemon"]
    assert draw(plan).items


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=60)
def test_the_canary_is_caught(tmp_path: Path) -> None:
    """The run must fail. If the gate passes it, this test fails."""
    done = chaos(tmp_path / "runs", "canary", "--seed", "7")
    assert done.exit_code == 0, done.text
    assert "canary: caught" in done.stdout
    assert done.verdict()["verdict"].lower() == "fail"
    # Nothing else fails: every other finding of such a run would be a false alarm.
    assert done.failed() == {"heuristic_fallbacks", "answers_witnessed"}, done.text
