"""The full path on real parts: defective Watchers fail by the right check, the clean one passes.

A Watcher that hides its fallbacks is the canary: tests/gate/test_canary.py. The `long` ones are
those whose defect shows late, or whose run tests/triage/test_real_runs.py makes at every change.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chaos.checks.registry import all_checks
from chaos.cli.triage import explain
from tests.integration.command import ONE_FAULT, REPO, Done, chaos, settings

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=60)]

PLANTED = REPO / "tests" / "planted"

CRASH = ("--fault", "watcher_dispatch_crash:count=1,hold=15s")
SLOW_LOAD = ("--fault", "llm_slow_load:count=1,hold=15s")
REFUSED = ("--fault", "llm_refused:count=1,hold=8s")
REFUSED_TWICE = ("--fault", "llm_refused:count=2,hold=8s")
SECOND = ("--fault", "watcher_second:count=1,hold=8s")
# As long as the proof of the defect needs; what is not named here takes the brief soak's.
LENGTH = {
    "leak_per_request": {"baseline_s": 20, "storm_s": 40},
    "duplicate_dispatch": {"baseline_s": 3, "storm_s": 18, "quiet_s": 4},
    "ignores_halt": {"baseline_s": 3, "storm_s": 18, "quiet_s": 4},
    "leaks_on_error": {"baseline_s": 12, "storm_s": 60, "quiet_s": 16},
    "no_lock": {"baseline_s": 3, "storm_s": 20, "quiet_s": 4},
}
TWINS = {
    "duplicate_dispatch": {"decision_log", "fifo", "llm_lifecycle", "routing"},
    "repeats_after_crash": {"decision_log", "heuristic_fallbacks"},
    "fakes_work": {"work_completed", "routing"},  # learning fails on the policy that is made up
    "stale_claims": {"routing", "policy_candidates"},
    "exchanges_requests": {"routing"},
    "rewrites_log": {"decision_log", "exactly_once"},
    "no_lock": set(all_checks()),  # what two on one queue break is chance
}


CAUSES = {
    "no_reconnection": "llm_connection_drop",
    "leak_per_request": "memory_leak",
    "duplicate_dispatch": "duplicate_work",
    "ignores_halt": "halt_ignored",
    "repeats_after_crash": "duplicate_work",
    "no_lock": "no_lock",
    "second_server": "second_server",
    "fakes_work": "work_not_done",
    "stale_claims": "work_not_done",
    "kills_bystander": "bystander_ended",
    "storms": "retry_storm",
    "exchanges_requests": "request_tampered",
    "rewrites_log": "log_rewritten",
    "leaves_files": "temp_files_left",
    "drops_parameters": "parameters_ignored",
    "misroutes": "work_not_done",
    "last_first": "wrong_order",
    "claims_order": "wrong_order",
}


def planted_target(name: str, folder: Path) -> Path:
    """The reference profile, with the defective program in front of its daemon."""
    path = REPO / "experiments" / "targets" / "reference.yaml"
    target = yaml.safe_load(path.read_text(encoding="utf-8"))
    target["target"] = name
    program = PLANTED / f"{name}.py"
    target["workspace"]["install"].append({"source": str(program), "to": "planted.py"})
    target["watcher"]["start"] = ["{python}", "planted.py", "--daemon"]
    if name == "ignores_halt":
        target["halt"]["limit_s"] = 4
    written = folder / f"{name}.yaml"
    written.write_text(yaml.safe_dump(target), encoding="utf-8")
    return written


def failed(done: Done) -> set[str]:
    return {f["check"] for f in done.verdict()["findings"] if f["outcome"] == "fail"}


def causes(done: Done) -> list[str]:
    """What `chaos triage` names."""
    found = explain(str(done.run().path), done.runs, target="reference", deep=False)
    return [cause.name for cause in found.causes]


@pytest.mark.parametrize(
    ("name", "checks", "fault"),
    [
        pytest.param(
            "no_reconnection",
            {"recovery_time", "heuristic_fallbacks"},
            ONE_FAULT,
            marks=pytest.mark.long,
        ),
        pytest.param(
            "leak_per_request", {"memory_growth"}, ("--fault", "none"), marks=pytest.mark.long
        ),
        ("duplicate_dispatch", {"exactly_once"}, ("--fault", "none")),
        ("ignores_halt", {"halt"}, ("--fault", "none")),
        pytest.param("repeats_after_crash", {"exactly_once"}, CRASH, marks=pytest.mark.long),
        ("no_lock", {"single_watcher"}, SECOND),
        pytest.param("second_server", {"llm_lifecycle"}, SLOW_LOAD, marks=pytest.mark.long),
        ("fakes_work", {"child_witnessed"}, ("--fault", "none")),
        ("stale_claims", {"publication_witnessed"}, ("--fault", "none")),
        ("kills_bystander", {"bystanders"}, ("--fault", "none")),
        ("kills_everything", {"bystanders"}, ("--fault", "none")),
        ("storms", {"retry_storm"}, REFUSED),
        ("leaks_on_error", {"growth_per_fault"}, REFUSED_TWICE),
        ("invents_answers", {"answers_witnessed"}, ("--fault", "none")),
        ("overrides_answers", {"answers_witnessed"}, ("--fault", "none")),
        ("exchanges_requests", {"requests_witnessed"}, ("--fault", "none")),
        ("rewrites_log", {"log_rewritten"}, ("--fault", "none")),
        ("leaves_files", {"files_left"}, ("--fault", "none")),
        ("drops_parameters", {"parameters_witnessed"}, ("--fault", "none")),
    ],
)
def test_defective_watcher_fails_by_the_check_for_its_defect(
    name: str, checks: set[str], fault: tuple[str, ...], tmp_path: Path
) -> None:
    target = planted_target(name, tmp_path)
    done = chaos(
        tmp_path / "runs", "run", "soak_c", *fault, "--seed", "7", "--target", str(target),
        *settings(**LENGTH.get(name, {})),
    )  # fmt: skip
    assert done.exit_code == 1, done.text
    assert checks <= failed(done), done.text
    # Nothing else fails but what the same defect shows to another check.
    assert failed(done) <= checks | TWINS.get(name, set()), done.text
    assert causes(done) == [CAUSES[name]], done.text


def test_healthy_watcher_of_other_habits_is_not_accused(tmp_path: Path) -> None:
    """Also not when it is killed in the middle of its work."""
    done = chaos(
        tmp_path / "runs", "run", "soak_c", *CRASH, "--seed", "7",
        "--target", str(planted_target("odd_habits", tmp_path)), *settings(),
    )  # fmt: skip
    assert done.exit_code == 0, done.text


@pytest.mark.slow(seconds=180)
def test_clean_watcher_passes_the_quick_profile_under_the_fault(tmp_path: Path) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_c", "--fault", "llm_timeout", "--seed", "7")
    assert done.exit_code == 0, done.text
    outcomes = {f["check"]: f["outcome"] for f in done.verdict()["findings"]}
    skipped = {check for check, outcome in outcomes.items() if outcome == "skipped"}
    assert skipped <= {"gpu_memory"}, done.text
    assert set(outcomes.values()) <= {"pass", "skipped"}, done.text
    assert done.outcome("fault_effect") == "pass"


@pytest.mark.slow(seconds=90)
def test_clean_watcher_passes_the_control_run(tmp_path: Path) -> None:
    done = chaos(
        tmp_path / "runs", "run", "soak_c", "--fault", "none", "--seed", "7",
        *settings(baseline_s=20, storm_s=40),
    )  # fmt: skip
    assert done.exit_code == 0, done.text
