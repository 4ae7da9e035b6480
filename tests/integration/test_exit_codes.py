"""Each exit code of the verdict table, by a real run that deserves it (0 and 1: test_planted)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import chaos, history, settings

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=30)]

SHORT = {
    "baseline_s": 2,
    "storm_s": 14,
    "quiet_s": 2,
    "criteria__heuristic_fallbacks__allowance_s": 2,
}


@pytest.mark.slow(seconds=5)
def test_2_typing_error_starts_nothing(tmp_path: Path) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_c", "--fault", "llm_timeuot")
    assert done.exit_code == 2
    assert "llm_timeuot" in done.stderr and "'llm_timeout'" in done.stderr
    assert "Traceback" not in done.text
    assert not (tmp_path / "runs").exists()


@pytest.mark.whole_run
def test_3_fault_without_a_measured_effect_is_never_a_pass(tmp_path: Path) -> None:
    """A probe of one second cannot distinguish half a second of hanging from a slow answer."""
    done = chaos(
        tmp_path / "runs", "run", "soak_c", "--fault", "llm_timeout:hold=0.5s,count=1",
        *settings(**SHORT),
    )  # fmt: skip
    assert done.exit_code == 3, done.text
    assert done.outcome("fault_effect") == "unverified"


@pytest.mark.slow(seconds=5)
def test_4_corrupt_model_is_an_environment_problem(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really" * 100)
    done = chaos(
        tmp_path / "runs", "run", "soak_c", *settings(**SHORT), env={"CHAOS_MODEL": str(broken)}
    )
    assert done.exit_code == 4, done.text
    assert "Traceback" not in done.stdout + done.stderr
    assert "next" in done.stdout + done.stderr


def test_5_guardrail_ends_the_run_which_is_undone_and_judged(tmp_path: Path) -> None:
    done = chaos(
        tmp_path / "runs", "run", "soak_c", "--fault", "llm_timeout:hold=60s,count=1",
        *settings(baseline_s=2, storm_s=80, guardrails__run_budget_s=12),
    )  # fmt: skip
    assert done.exit_code == 5, done.text
    records = history(done.run())
    assert [r["detail"]["guardrail"] for r in records if r.get("name") == "guardrail"] == [
        "run_budget_s"
    ]
    assert [r["detail"]["complete"] for r in records if r.get("name") == "cleanup"] == [True]


STUCK_FAULT = '''
"""A third party's fault that breaks something on the host and cannot mend it."""
from pathlib import Path
from chaos.plugin import Fault, Measured as Evidence

class Stuck(Fault):
    name = "stuck"
    summary = "leaves a file behind"
    scope = "host"
    mark = Path(__file__).with_name("left_behind")

    def available(self, stack):
        return None

    def undo_record(self, stack):
        return {"path": str(self.mark)}

    def inject(self, stack):
        self.mark.touch()

    def effect(self, stack, deadline):
        return Evidence(self.mark.exists(), {})

    def recover(self, stack):
        raise RuntimeError("the switch broke off")

    def recovered(self, stack, deadline):
        return Evidence(False, {})

    @staticmethod
    def undo(record):
        if not Path(record["path"]).with_name("mended").exists():
            raise RuntimeError("the switch is still broken")
        Path(record["path"]).unlink(missing_ok=True)
'''


@pytest.mark.whole_run
def test_6_failed_undo_is_reported_and_cleaned_later(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    info = plugin / "stuck-1.dist-info"
    info.mkdir(parents=True)
    (plugin / "stuck_fault.py").write_text(STUCK_FAULT)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[chaos.faults]\nstuck = stuck_fault:Stuck\n")
    env = {"PYTHONPATH": str(plugin)}
    runs = tmp_path / "runs"
    done = chaos(runs, "run", "soak_c", "--fault", "stuck:hold=1s", *settings(**SHORT), env=env)
    assert done.exit_code == 6, done.text
    assert (plugin / "left_behind").exists()
    assert "chaos clean" in done.text

    still = chaos(runs, "clean", env=env)
    assert still.exit_code == 6, still.text
    (plugin / "mended").touch()
    cleaned = chaos(runs, "clean", env=env)
    assert cleaned.exit_code == 0, cleaned.text
    assert not (plugin / "left_behind").exists()
    again = chaos(runs, "clean", env=env)
    assert again.exit_code == 0 and "left_behind" not in again.text
