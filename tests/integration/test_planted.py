"""The full path on real parts: defective Watchers fail by the right check, the clean one passes.

A Watcher that hides its fallbacks is the canary: tests/gate/test_canary.py. The `long` ones are
those whose defect shows late, or whose run tests/triage/test_real_runs.py makes at every change.
One that lies is run with every test; the others are added by CI.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import chaos, settings
from tests.planted.table import DEFECTS, HEALTHY, Planted
from tests.truth_table import judge

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=60)]


_ALWAYS = ("fakes_work",)


def _cases(table: tuple[Planted, ...]) -> list[object]:
    def marks(one: Planted) -> list[pytest.MarkDecorator]:
        if one.name in _ALWAYS:
            return []
        return [pytest.mark.whole_run if one.often else pytest.mark.long]

    return [pytest.param(one, id=one.name, marks=marks(one)) for one in table if not one.blind]


@pytest.mark.parametrize("planted", _cases(DEFECTS))
def test_defective_watcher_fails_by_the_check_for_its_defect(
    planted: Planted, tmp_path: Path
) -> None:
    said = judge(planted, tmp_path)
    assert said.caught, said.text
    assert not said.beside, f"nothing else fails but what the same defect shows\n{said.text}"
    assert said.named and len(said.causes) == 1, f"{said.causes}\n{said.text}"


@pytest.mark.parametrize("planted", _cases(HEALTHY))
def test_healthy_watcher_of_other_habits_is_not_accused(planted: Planted, tmp_path: Path) -> None:
    said = judge(planted, tmp_path)
    assert not said.accused and said.exit_code == 0, said.text


def test_each_program_is_in_the_table() -> None:
    folder = Path(__file__).resolve().parents[1] / "planted"
    programs = {path.stem for path in folder.glob("*.py")} - {"__init__", "table"}
    assert programs == {one.name for one in (*DEFECTS, *HEALTHY)}
    assert all(one.says for one in (*DEFECTS, *HEALTHY))


@pytest.mark.slow(seconds=180)
def test_clean_watcher_passes_the_quick_profile_under_the_fault(tmp_path: Path) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_c", "--fault", "llm_timeout", "--seed", "7")
    assert done.exit_code == 0, done.text
    outcomes = {f["check"]: f["outcome"] for f in done.verdict()["findings"]}
    skipped = {check for check, outcome in outcomes.items() if outcome == "skipped"}
    assert skipped <= {"gpu_memory", "steady_state"}, done.text
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
