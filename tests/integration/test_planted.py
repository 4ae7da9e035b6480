"""The full path on real parts: defective Watchers fail by the right check, the clean one passes.

A Watcher that hides its fallbacks is the canary: tests/gate/test_canary.py. The `long` ones are
those whose defect shows late, or whose run tests/triage/test_real_runs.py makes at every change.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chaos.checks.registry import all_checks
from tests.integration.command import ONE_FAULT, REPO, Done, chaos, settings

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=60)]

PLANTED = REPO / "tests" / "planted"

CRASH = ("--fault", "watcher_dispatch_crash:count=1,hold=15s")
SLOW_LOAD = ("--fault", "llm_slow_load:count=1,hold=15s")
REFUSED = ("--fault", "llm_refused:count=1,hold=8s")
SECOND = ("--fault", "watcher_second:count=1,hold=8s")
# As long as the proof of the defect needs; what is not named here takes the brief soak's.
LENGTH = {
    "leak_per_request": {"baseline_s": 20, "storm_s": 40},
    "duplicate_dispatch": {"baseline_s": 3, "storm_s": 18, "quiet_s": 4},
    "ignores_halt": {"baseline_s": 3, "storm_s": 18, "quiet_s": 4},
    "no_lock": {"baseline_s": 3, "storm_s": 20, "quiet_s": 4},
}
TWINS = {
    "duplicate_dispatch": {"decision_log", "fifo", "llm_lifecycle", "routing"},
    "repeats_after_crash": {"decision_log", "heuristic_fallbacks"},
    "fakes_work": {"work_completed", "routing"},  # learning fails on the policy that is made up
    "stale_claims": {"routing", "policy_candidates"},
    "no_lock": set(all_checks()),  # what two on one queue break is chance
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
        ("storms", {"retry_storm"}, REFUSED),
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
@pytest.mark.long  # the gate's first run is such a one
def test_clean_watcher_passes_the_control_run(tmp_path: Path) -> None:
    done = chaos(
        tmp_path / "runs", "run", "soak_c", "--fault", "none", "--seed", "7",
        *settings(baseline_s=20, storm_s=40),
    )  # fmt: skip
    assert done.exit_code == 0, done.text
