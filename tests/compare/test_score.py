"""The score of a run: strikes that were survived, failures that no strike explains, recovery."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.checks.finding import Evidence, Finding, Outcome
from chaos.checks.recovery_time import Recovery
from chaos.checks.verdict import FaultOutcome, Verdict, Word
from chaos.compare.score import Score, score_of, scored
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.runner.judge import judgement_of, store
from tests.records import unpacked


def strike(number: int, *, proven: bool = True, recovered: bool = True) -> FaultOutcome:
    return FaultOutcome(
        fault_id=f"f{number:03d}",
        name="llm_timeout",
        state="closed",
        injected_s=1.0,
        proven_s=2.0 if proven else None,
        recovering_s=3.0,
        recovered_s=4.0 if recovered else None,
        effect={},
        recovery={},
        ref="history.jsonl:1",
    )


def failing(check: str, text: str = "seen", outcome: Outcome = "fail") -> Finding:
    return Finding(
        outcome=outcome,
        summary="2 of 3",
        check=check,
        title=check.title(),
        evidence=[Evidence("history.jsonl:9", text)],
    )


def verdict(
    *findings: Finding, strikes: int = 2, word: Word = "pass", exit_code: int = 0
) -> Verdict:
    return Verdict(
        verdict=word,
        exit_code=exit_code,
        reason="because",
        run_id="r",
        soak="soak_b",
        title="",
        profile="quick",
        seed=1,
        schedule_hash="",
        stopped="complete",
        lasted_s=10.0,
        findings=list(findings),
        faults=[strike(number) for number in range(strikes)],
        notes=[],
        reproduce="",
    )


def recovery(number: int, took_s: float | None, outcome: Outcome = "pass") -> Recovery:
    return Recovery(f"f{number:03d}", outcome, took_s, Evidence("history.jsonl:1", ""))


def survived(found: Verdict, *recoveries: Recovery) -> Score:
    return scored(found, list(recoveries), 20.0, "survived")


def test_every_strike_of_a_run_that_passes_is_survived() -> None:
    assert survived(verdict()).value == 1.0
    assert survived(verdict(strikes=0)).value == 1.0, "a control without strikes"


def test_a_strike_without_its_recovery_is_lost() -> None:
    found = msgspec.structs.replace(verdict(), faults=[strike(0), strike(1, recovered=False)])
    assert survived(found).value == 0.5


def test_a_strike_that_was_not_proven_does_not_count() -> None:
    found = msgspec.structs.replace(verdict(), faults=[strike(0), strike(1, proven=False)])
    assert (survived(found).value, survived(found).strikes) == (1.0, 1)


def test_a_recovery_that_takes_too_long_loses_its_strike_alone() -> None:
    found = verdict(failing("recovery_time", "f000 llm_timeout: 21 s"), word="fail", exit_code=1)
    assert survived(found, recovery(0, 21.0, "fail"), recovery(1, 1.0)).value == 0.5


def test_a_finding_that_names_a_strike_loses_that_one() -> None:
    found = verdict(failing("planted", "f001 left a file"), word="fail", exit_code=1)
    assert survived(found).value == 0.5
    found = verdict(failing("planted", "f0010 left a file"), word="fail", exit_code=1)
    assert survived(found).value == 0.0, "another id names no strike of this run"


def test_a_failure_that_no_strike_explains_scores_nothing() -> None:
    score = survived(verdict(failing("routing"), word="fail", exit_code=1))
    assert (score.value, score.survived, score.why) == (0.0, 0, "failed: Routing")


def test_a_failure_of_the_harness_is_not_held_against_the_daemon() -> None:
    ours = msgspec.structs.replace(failing("stack_health"), owner="harness")
    assert survived(verdict(ours)).value == 1.0


@pytest.mark.parametrize("check", ["exactly_once", "requests_witnessed"])
def test_lost_work_is_named(check: str) -> None:
    assert survived(verdict(failing(check))).work_lost == [f"{check.title()}: 2 of 3"]
    assert survived(verdict(failing("fifo"))).work_lost == []


def test_recovery_is_a_share_of_its_limit() -> None:
    def score(*found: Recovery) -> float | None:
        return scored(verdict(), list(found), 20.0, "recovery").value

    assert score(recovery(0, 0.0), recovery(1, 10.0)) == pytest.approx(0.75)
    assert score(recovery(0, 50.0, "fail")) == 0.0, "capped at the limit"
    assert score(recovery(0, 0.0), recovery(1, None, "fail")) == 0.5, "it never came"
    assert score(recovery(0, 0.0), recovery(1, None, "inconclusive")) == 1.0, "left out"
    assert score() is None


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (verdict(word="invalid", exit_code=4), "invalid"),
        (verdict(exit_code=5), "exit 5"),
        (verdict(exit_code=6), "exit 6"),
        (
            msgspec.structs.replace(verdict(), faults=[strike(0, proven=False)]),
            "none of its 1 strike was proven",
        ),
        (msgspec.structs.replace(verdict(), stopped="interrupt"), "interrupted"),
    ],
)
def test_a_run_that_says_nothing_has_no_score(found: Verdict, why: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.write_json(run.verdict, msgspec.to_builtins(found))
    score = score_of(run, "survived")
    assert score.value is None and why in score.why


def test_a_run_without_a_verdict_has_no_score(tmp_path: Path) -> None:
    assert score_of(RunDir(tmp_path), "survived").why == "it ended without a verdict"


@pytest.mark.slow(seconds=2)
@pytest.mark.parametrize(
    ("name", "kind", "low", "high"),
    [
        ("soak_b_llm_timeout", "survived", 1.0, 1.0),
        ("soak_b_llm_timeout", "recovery", 0.8, 0.999),
        ("soak_c_unmarked_fallback", "survived", 0.0, 0.0),
    ],
)
def test_recorded_runs_are_scored(
    name: str, kind: str, low: float, high: float, tmp_path: Path
) -> None:
    run = unpacked(name, tmp_path)
    with OpenRun(run) as opened:
        store(run, judgement_of(opened))
    value = score_of(run, kind).value  # type: ignore[arg-type]
    assert value is not None and low <= value <= high
