"""The canary is caught only when the gate said no for the right reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.checks.finding import Finding, Outcome
from chaos.checks.verdict import Verdict, merged
from chaos.gate.canary import MUST_FAIL, canary_plan, disappointment
from chaos.plan.schedule import draw
from tests.integration.command import chaos
from tests.integration.test_planted import failed


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


def test_a_fail_by_the_right_check_is_a_catch() -> None:
    told = verdict(**{MUST_FAIL: "fail", "errors": "pass"})
    assert disappointment(ExitCode.FAIL, told) == ""


@pytest.mark.parametrize(
    ("code", "outcomes", "word"),
    [
        (ExitCode.PASS, {MUST_FAIL: "pass"}, "passed"),
        (ExitCode.FAIL, {MUST_FAIL: "pass", "errors": "fail"}, "not by"),
        (ExitCode.INVALID, {MUST_FAIL: "fail"}, "exit code 4"),
        (ExitCode.INCONCLUSIVE, {MUST_FAIL: "unverified"}, "exit code 3"),
    ],
)
def test_anything_else_is_a_disappointment(
    code: int, outcomes: dict[str, Outcome], word: str
) -> None:
    assert word in disappointment(code, verdict(**outcomes))


def test_canary_without_a_verdict_is_an_error() -> None:
    assert "without a verdict" in disappointment(4, None)


def test_the_plan_is_that_of_soak_c_but_for_the_program() -> None:
    plan = canary_plan(3, "namespaces")
    assert plan.soak == "soak_c"
    assert plan.target.watcher.start == ["{python}", "canary.py", "--daemon"]
    assert draw(plan).items


@pytest.mark.stack
@pytest.mark.slow(seconds=60)
def test_canary_fails_by_hidden_fallbacks_and_nothing_else(tmp_path: Path) -> None:
    """A run that must fail, every time: if the gate passes it, this test fails."""
    done = chaos(tmp_path / "runs", "canary", "--seed", "7")
    assert done.exit_code == 0, done.text
    assert "canary: caught" in done.stdout
    assert done.verdict()["verdict"].lower() == "fail"
    # Nothing else fails: every other finding of such a run would be a false alarm.
    assert failed(done) == {"heuristic_fallbacks"}, done.text
