"""Judging stored runs: whole, torn, cut off, interrupted, and with defects of our own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode
from chaos.checks.base import Params
from chaos.checks.finding import Finding
from chaos.checks.registry import CHECKS, check_named, validate_criteria
from chaos.cli.main import main
from chaos.record.open_run import OpenRun
from chaos.record.owner import claim
from chaos.runner import judge as judge_module
from chaos.runner.judge import judge, verdict_of
from tests.checks.history_builder import PlantedRun, finding, judged, judged_by, not_passed


def test_judging_twice_gives_the_same_bytes(planted: PlantedRun) -> None:
    """verdict.json and report.md depend on the record and nothing else."""
    run = planted.write()
    judge(run)
    first = run.verdict.read_bytes(), run.report.read_bytes()
    judge(run)
    assert (run.verdict.read_bytes(), run.report.read_bytes()) == first


def test_a_moved_run_is_judged_the_same(planted: PlantedRun) -> None:
    """No path of the machine gets into the verdict."""
    run = planted.write()
    judge(run)
    before = run.verdict.read_bytes()
    moved = type(run)(run.path.rename(run.path.with_name("elsewhere")))
    judge(moved)
    assert moved.verdict.read_bytes() == before


def test_a_torn_history_is_invalid_and_judged_as_far_as_it_goes(planted: PlantedRun) -> None:
    planted.torn_history = True
    verdict = judged(planted)
    assert not_passed(verdict) == {"record_complete": "invalid"}
    assert verdict.exit_code == 4
    assert any("half a record" in note for note in verdict.notes)


@pytest.mark.parametrize("cut_off", [True, False])
def test_an_engine_that_went_away_is_to_blame_not_the_harness(
    planted: PlantedRun, cut_off: bool
) -> None:
    """Also when the harness in the pod went on to its end: nobody could act on the pod."""
    planted.torn_history = cut_off
    run = planted.write()
    run.write_json(run.engine_lost, {"engine": "unix:///docker.sock", "wall_epoch_s": 1.0})
    verdict = judge(run)
    found = finding(verdict, "record_complete")
    assert (found.outcome, found.owner) == ("invalid", "infrastructure")
    assert "the container engine went away" in found.summary
    assert verdict.exit_code == 4


def test_a_damaged_history_is_invalid_with_file_and_line(planted: PlantedRun) -> None:
    """A broken line in the middle was put there afterwards."""
    run = planted.write()
    lines = run.history.read_bytes().splitlines(keepends=True)
    lines[30] = b'{"kind":"nonsense"}\n'
    run.history.write_bytes(b"".join(lines))
    verdict = judge(run)
    assert verdict.verdict == "invalid"
    assert "history.jsonl:31" in finding(verdict, "record_complete").evidence[0].text


@pytest.mark.parametrize("t_s", [0.0, 0.15, 2.15, 30.0, 41.5, 120.0, 146.85])
def test_a_harness_cut_off_at_any_moment_leaves_an_invalid_run(
    planted: PlantedRun, t_s: float
) -> None:
    """Never a pass, never a failure of the product, never an exception."""
    planted.cut_off(t_s)
    verdict = judged(planted)
    assert (verdict.verdict, verdict.exit_code) == ("invalid", 4)
    assert verdict.stopped == "cut off"


def test_a_run_that_goes_on_is_said_to_go_on(
    planted: PlantedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    planted.cut_off(60.0)
    run = planted.write()
    claim(run)
    with OpenRun(run) as opened:
        assert "the run is still going on" in finding(verdict_of(opened), "record_complete").summary
    assert main(["triage", "--no-color", str(run.path)]) == ExitCode.PASS
    assert "the run is still going on" in capsys.readouterr().out


def test_without_a_history_the_run_is_invalid(planted: PlantedRun) -> None:
    planted.collected = False
    run = planted.write()
    run.history.unlink()
    assert judge(run).verdict == "invalid"


def test_an_empty_history_is_invalid(planted: PlantedRun) -> None:
    planted.collected = False
    planted.records = []
    assert judged(planted).verdict == "invalid"


def test_record_that_was_cut_off_accuses_nobody_of_a_death(planted: PlantedRun) -> None:
    planted.add_event(50.0, "watcher_exit", owner="product", severity="error", exit_code=1)
    planted.cut_off(60.0)
    verdict = judged(planted)
    assert (verdict.verdict, verdict.exit_code) == ("invalid", 4)
    assert finding(verdict, "watcher_alive").outcome == "inconclusive"


def test_without_a_config_there_is_one_clear_error(planted: PlantedRun) -> None:
    run = planted.write()
    run.config.unlink()
    with pytest.raises(ChaosError, match=r"config\.json is missing"):
        judge(run)


@pytest.mark.parametrize(("reason", "code"), [("interrupt", 130), ("guardrail", 5)])
def test_a_run_stopped_early_is_judged_and_its_shortfalls_are_not_failures(
    planted: PlantedRun, reason: str, code: int
) -> None:
    """Too few cycles in a run that was cut short prove nothing."""
    planted.config["criteria"]["completed_cycles"]["min"] = 500
    planted.drop(kind="event", name="halted")
    planted.drop(kind="event", name="drained")
    planted.event("stopped")["detail"].update(reason=reason, message="why")
    verdict = judged(planted)
    assert verdict.exit_code == code
    assert verdict.verdict == "inconclusive"
    assert not_passed(verdict)["completed_cycles"] == "inconclusive"
    assert not_passed(verdict)["halt"] == "inconclusive"


def test_a_decided_request_left_claimed_by_a_hurried_stop_is_not_lost(
    planted: PlantedRun,
) -> None:
    """The next start finishes it; after a proper halt the same is a failure."""
    planted.folders["claimed"].append(planted.folders["archive"].pop())
    assert not_passed(judged(planted))["exactly_once"] == "fail"
    planted.event("stopped")["detail"].update(reason="interrupt")
    assert "exactly_once" not in not_passed(judged(planted))


def test_what_was_left_behind_is_exit_6_with_the_next_step(planted: PlantedRun) -> None:
    planted.event("cleanup")["detail"].update(complete=False, left=["process 42"])
    verdict = judged(planted)
    assert verdict.exit_code == 6
    assert any("process 42" in note and "chaos clean" in note for note in verdict.notes)


def test_an_outage_of_the_proxy_is_invalid_not_a_failure(planted: PlantedRun) -> None:
    """The fallbacks it caused are not held against the Watcher."""
    decision = planted.first_outside()
    decision["heuristic_fallback"] = True
    decision["llm_calls"][0]["outcome"] = "failed"
    planted.add_event(5.0, "service_exit", owner="infrastructure", service="proxy")
    verdict = judged(planted)
    assert (verdict.verdict, verdict.exit_code) == ("invalid", 4)
    assert finding(verdict, "heuristic_fallbacks").outcome == "inconclusive"
    assert finding(verdict, "stack_health").owner == "infrastructure"


def test_a_failure_that_an_outage_cannot_explain_stays_one(planted: PlantedRun) -> None:
    planted.add_event(5.0, "service_exit", owner="infrastructure", service="proxy")
    planted.files["logs/watcher.log"] = "Traceback (most recent call last):\n"
    assert judged(planted).verdict == "fail"


def test_a_missing_record_of_the_cleanup_is_invalid(planted: PlantedRun) -> None:
    planted.drop(kind="event", name="cleanup")
    assert not_passed(judged(planted)) == {"record_complete": "invalid"}


def test_a_phase_that_was_never_reached_is_invalid(planted: PlantedRun) -> None:
    planted.drop(kind="phase", name="storm")
    assert not_passed(judged(planted)) == {"record_complete": "invalid"}


def test_a_gap_in_the_samples_is_inconclusive(planted: PlantedRun) -> None:
    """What happened in it was not seen."""
    original = planted._samples
    planted._samples = lambda: [  # type: ignore[method-assign]
        r for r in original() if not 60.0 < r["t_s"] < 70.0
    ]
    verdict = judged(planted)
    assert not_passed(verdict) == {"record_complete": "inconclusive"}
    assert "no sample for 10" in finding(verdict, "record_complete").summary


def test_a_check_that_crashes_is_invalid_never_a_pass(
    planted: PlantedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(view: OpenRun, params: Params) -> list[Finding]:
        raise ZeroDivisionError("planted")

    checks = tuple(replace(c, judge=broken) if c.name == "halt" else c for c in CHECKS)
    monkeypatch.setattr(judge_module, "CHECKS", checks)
    verdict = judged(planted)
    assert not_passed(verdict) == {"halt": "invalid"}
    assert "ZeroDivisionError: planted" in finding(verdict, "halt").summary
    assert verdict.exit_code == 4


def test_an_unknown_criterion_in_a_stored_run_is_invalid(planted: PlantedRun) -> None:
    """Never dropped in silence."""
    planted.config["criteria"]["halts"] = {}
    verdict = judged(planted)
    assert not_passed(verdict) == {"halts": "invalid"}


def test_a_wrong_parameter_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        validate_criteria({"halt": {"limit": 3}}, place="x.yaml:7")
    assert "limit_s" in str(caught.value)
    assert "x.yaml:7" in str(caught.value)
    with pytest.raises(UsageError):
        validate_criteria({"halt": {"limit_s": -3}})


def test_an_unknown_criterion_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'memory_growth'"):
        check_named("memory_grow")


def test_evidence_is_bounded_and_its_count_is_kept(planted: PlantedRun) -> None:
    planted.files["logs/watcher.log"] = "Traceback (most recent call last):\n" * 500
    found = judged_by(planted, "errors")
    assert (len(found.evidence), found.evidence_count, found.measured) == (10, 500, 500)


def test_every_finding_that_is_not_a_pass_has_evidence_that_exists(planted: PlantedRun) -> None:
    """References lead to a file of the run directory, and to a line that is there."""
    planted.first_outside()["heuristic_fallback"] = True
    planted.event("halted")["detail"].update(took_s=99.0)
    planted.files["logs/watcher.log"] = "Traceback (most recent call last):\n"
    verdict = judged(planted)
    assert len(not_passed(verdict)) == 3
    for found in verdict.findings:
        for piece in found.evidence:
            path, _, line = piece.ref.partition(":")
            full = planted.run.path / path.split(" ")[0]
            assert full.exists() or "*" in path, piece
            if line.isdigit():
                assert int(line) <= len(full.read_bytes().splitlines()), piece


def test_verdict_json_is_what_was_returned(planted: PlantedRun) -> None:
    verdict = judge(planted.write())
    stored = json.loads(planted.run.verdict.read_text(encoding="utf-8"))
    assert stored["verdict"] == verdict.verdict
    assert [f["check"] for f in stored["findings"]] == [f.check for f in verdict.findings]
    assert {f["check"] for f in stored["findings"]} >= set(planted.config["criteria"])


def test_the_planned_criteria_are_all_known_checks(planted: PlantedRun) -> None:
    """Every row of the experiment has a check, and its parameters are accepted."""
    validate_criteria(planted.config["criteria"])
    validate_criteria(planted.config["profile"].get("criteria", {}))


@pytest.mark.parametrize(
    ("left", "removed", "exit_code"),
    [
        (["containers of the run: down: it is gone"], False, 6),
        (["containers of the run: down: it is gone"], True, 0),
        (["containers of the run: down: it is gone", "process 7: cat"], True, 6),
        (["process 7: cat"], True, 6),
    ],
)
def test_containers_that_were_removed_later_are_not_left_behind(
    planted: PlantedRun, left: list[str], removed: bool, exit_code: int
) -> None:
    """`chaos clean` removes what the record says was left, and notes it in containers.json."""
    planted.event("cleanup")["detail"] |= {"complete": False, "left": left}
    planted.files["containers.json"] = json.dumps({"removed": removed})
    assert judged(planted).exit_code == exit_code
