"""The draws that were due: by a formula, or printed by a program of the user's."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.checks.finding import Finding
from chaos.checks.generators import first_draws
from chaos.record.draws import Lcg
from tests.checks.history_builder import BOOTSTRAP, PlantedRun, judged_by

ANSI_C = {"a": 1103515245, "c": 12345, "m": 1 << 31, "shift": 16}  # rand() of the C standard


def test_the_generator_equals_javas_own() -> None:
    """Values of `new java.util.Random(12345).nextInt(1000)`, taken from a Java machine."""
    assert first_draws(12345, 1000, 12) == [251, 80, 241, 828, 55, 84, 375, 802, 501, 389, 517, 942]


def test_generator_of_given_numbers_equals_the_one_of_the_c_standard() -> None:
    """`srand(1)` and `rand()` as C99, 7.20.2 gives them: (state / 65536) % 32768."""
    assert first_draws(1, 32768, 5, Lcg(**ANSI_C)) == [16838, 5758, 10113, 17515, 31051]


def by(run: PlantedRun, generator: Any, **more: Any) -> Finding:
    """What is said of the draws when the target has this generator."""
    run.config["target"]["draws"] = {"generator": generator, **more}
    return judged_by(run, "draws_expected")


def of_c(run: PlantedRun) -> None:
    """The draws are those of the C standard's generator."""
    values = first_draws(1, 1000, len(run.draws), Lcg(**ANSI_C))
    run.draws = [{**draw, "value": value} for draw, value in zip(run.draws, values, strict=True)]


def test_draws_of_another_generator_are_recomputed(control: PlantedRun) -> None:
    of_c(control)
    found = by(control, {"lcg": ANSI_C}, seed=1, modulus=1000)
    assert found.outcome == "pass", found.summary
    assert by(control, "java_lcg", seed=12345, modulus=1000).outcome == "fail"


def test_wrong_draw_of_another_generator_is_found(control: PlantedRun) -> None:
    of_c(control)
    control.draws[BOOTSTRAP + 2]["value"] += 1
    found = by(control, {"lcg": ANSI_C}, seed=1, modulus=1000)
    assert found.outcome == "fail" and found.evidence[0].ref.endswith(f"draw {BOOTSTRAP + 2}")


def printed(run: PlantedRun, values: list[Any], **event: Any) -> None:
    """The reference command was run, and printed these lines."""
    run.add_event(146.5, "draws_recomputed", count=len(values), **event)
    run.files["expected_draws.jsonl"] = "".join(f"{value}\n" for value in values)


COMMAND = {"command": ["reference", "{seed}", "{count}"]}


def test_what_the_reference_command_prints_is_what_was_due(control: PlantedRun) -> None:
    printed(control, [draw["value"] for draw in control.draws] + [1, 2, 3])
    found = by(control, COMMAND)
    assert found.outcome == "pass" and "reference command" in found.summary
    control.files.pop("artefacts/lottery_history.json")
    control.draws[7]["value"] += 1
    assert by(control, COMMAND).outcome == "fail"


@pytest.mark.parametrize(
    ("lines", "event", "why"),
    [
        ([], {"problem": "the reference command: exit code 1: no such seed"}, "no such seed"),
        ([5, "half a l"], {}, "line 2 of the reference command is no whole number: 'half a l'"),
        ([5, 6], {}, "printed 2 draws"),
    ],
)
def test_reference_command_that_fails_accuses_nobody(
    control: PlantedRun, lines: list[Any], event: dict[str, str], why: str
) -> None:
    printed(control, lines, **event)
    for check in ("draws_expected", "convergence"):
        control.config["target"]["draws"] = {"generator": COMMAND}
        found = judged_by(control, check)
        assert found.outcome == "unverified" and why in found.summary, check


def test_reference_command_that_was_not_run_accuses_nobody(control: PlantedRun) -> None:
    assert by(control, COMMAND).outcome == "unverified"


def test_predictions_are_compared_with_what_the_command_prints(control: PlantedRun) -> None:
    printed(control, first_draws(12345, 1000, len(control.draws) + 100))
    control.config["target"]["draws"] = {"generator": COMMAND}
    assert judged_by(control, "convergence").outcome == "pass"
