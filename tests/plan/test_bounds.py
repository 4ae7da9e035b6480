"""No length and no number of occurrences is so large that working with it fails or has no end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.base.shipped import EXPERIMENTS
from chaos.cli.main import main
from chaos.plan.schedule import OCCURRENCES_MAX, draw
from chaos.runner.resolve import Request, resolve

MONTH_S = "2592000"
MANY = "9" * 400


@pytest.mark.parametrize(
    ("words", "place", "bound"),
    [
        (["--fault", "llm_timeout", "--set", "storm_s=1e308"], "--set storm_s", MONTH_S),
        (["--set", "storm_s=1e15"], "--set storm_s", MONTH_S),
        (["--set", f"storm_s={MANY}h"], "--set storm_s", MONTH_S),
        (["--set", "baseline_s=1e308"], "--set baseline_s", MONTH_S),
        (["--set", "settings.draw_interval_s=1e308"], "--set settings.draw", MONTH_S),
        (["--set", "settings.llm_attempts=1e15"], "--set settings.llm", "1000000"),
        (["--fault", f"llm_timeout:count={MANY}"], "--fault llm_timeout count", "1000"),
        (["--fault", f"llm_timeout:period={MANY}h"], "--fault llm_timeout period", MONTH_S),
        (["--fault", "llm_timeout:period=31000000s"], "--fault llm_timeout period", MONTH_S),
        (
            ["--fault", "llm_timeout:hold=1s,period=5s", "--set", f"storm_s={MONTH_S}"],
            "--fault llm_timeout",
            f"more than {OCCURRENCES_MAX}",
        ),
        (
            [f"--fault={kind}:count=1000" for kind in ("llm_timeout", "llm_reset", "llm_refused")],
            "--fault",
            f"more than {OCCURRENCES_MAX}",
        ),
        (
            [
                "--fault=llm_timeout",
                f"--set=storm_s={MONTH_S}",
                "--set=quiet_every_s=0.02",
                "--set=quiet_period_s=0.01",
            ],
            "quiet_every_s",
            "more than 50000",
        ),
        (
            ["--faults", "disk", "--fault", "llm_timeout:hold=24h,count=30"],
            "--faults",
            f"more than {MONTH_S}",
        ),
    ],
)
def test_too_large_value_is_an_error_with_the_limit(
    words: list[str], place: str, bound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "soak_c", "--dry-run", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"chaos: error: {place}")
    assert bound in said


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        ("soak_c.yaml", "storm_s: 85", "storm_s: 1.0e308", "profiles.quick.storm_s"),
        ("targets/reference.yaml", "limit_s: 600", "limit_s: 1.0e308", "batch.limit_s"),
    ],
)
def test_too_long_duration_in_a_file_is_an_error(
    tmp_path: Path, file: str, old: str, new: str, key: str
) -> None:
    experiments = Path(shutil.copytree(EXPERIMENTS, tmp_path / "experiments"))
    text = (experiments / file).read_text(encoding="utf-8")
    assert old in text
    (experiments / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(UsageError, match=MONTH_S) as caught:
        resolve(Request("soak_c", experiments=experiments))
    assert f"{Path(file).name}:{line} {key}" in caught.value.place


def test_values_at_the_limits_are_accepted() -> None:
    faults = ["llm_timeout:hold=1s,period=19s"]
    overrides = [f"storm_s={19 * OCCURRENCES_MAX}"]
    plan = resolve(Request("soak_c", seed=1, faults=faults, overrides=overrides))
    assert len(draw(plan).items) == OCCURRENCES_MAX
    longest = resolve(Request("soak_c", seed=1, overrides=[f"storm_s={MONTH_S}"]))
    assert draw(longest).storm_s == float(MONTH_S)
