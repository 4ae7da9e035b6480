"""A Watcher that was restarted: no comparison across two lives, and no life goes unseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.checks.history_builder import PlantedRun, judged_by

RESTART_S, BACK_S = 60.0, 63.0
MEMORY = {"memory_growth": {"limit_mb": 0.5, "unit": "request"}}
Curve = Callable[[float, int], float]


def restarted(planted: PlantedRun, at: tuple[tuple[float, float], ...]) -> None:
    """The process ends at each first time and is another one from the second on."""
    original = planted._samples

    def samples() -> list[dict[str, object]]:
        made = original()
        for record in made:
            t_s, values = record["t_s"], record["values"]
            values["watcher.pid"] = 20 + sum(t_s >= back for _, back in at)
            if any(gone <= t_s < back for gone, back in at):
                for key in [key for key in values if key.startswith("watcher.")]:
                    del values[key]
        return made

    planted._samples = samples  # type: ignore[method-assign]


def noise(t_s: float) -> float:
    return 0.2 * (int(t_s * 4) % 3)


def memory(planted: PlantedRun, curve: Curve) -> None:
    planted.config["criteria"] = MEMORY
    planted.rss_mb = lambda t_s, done: curve(t_s, done) + noise(t_s)


def test_memory_that_drops_at_a_restart_is_no_growth_and_hides_none(control: PlantedRun) -> None:
    """200 MB before, 30 MB after, both flat: both lives are judged, both pass."""
    memory(control, lambda t_s, done: 200.0 if t_s < RESTART_S else 30.0)
    restarted(control, ((RESTART_S, BACK_S),))
    found = judged_by(control, "memory_growth")
    assert found.outcome == "pass"
    assert "restarted 1x: of 2 lives 2 long enough" in found.summary
    assert "number 2" in found.summary


def test_memory_that_rises_from_life_to_life_is_no_growth(control: PlantedRun) -> None:
    """A new process that holds what has been archived meanwhile is no leak of a process."""
    memory(control, lambda t_s, done: 30.0 if t_s < RESTART_S else 200.0)
    restarted(control, ((RESTART_S, BACK_S),))
    assert judged_by(control, "memory_growth").outcome == "pass"


@pytest.mark.parametrize("leaking", [1, 2])
def test_a_leak_in_one_life_is_caught_whichever_it_is(control: PlantedRun, leaking: int) -> None:
    """Neither life is hidden by the other, not even by a longer one."""
    memory(
        control,
        lambda t_s, done: 30.0 + (3.0 * done if (t_s < RESTART_S) == (leaking == 1) else 0.0),
    )
    restarted(control, ((RESTART_S, BACK_S),))
    found = judged_by(control, "memory_growth")
    assert found.outcome == "fail"
    assert f"this is number {leaking} " in found.summary
    assert "the others: pass" in found.summary


def test_short_lives_do_not_make_a_long_one_inconclusive(control: PlantedRun) -> None:
    memory(control, lambda t_s, done: 30.0)
    restarted(control, ((10.0, 11.0), (20.0, 21.0), (30.0, 31.0)))
    found = judged_by(control, "memory_growth")
    assert found.outcome == "pass"
    assert "restarted 3x: of 4 lives 1 long enough" in found.summary


def test_only_short_lives_are_too_little_to_judge_by(control: PlantedRun) -> None:
    memory(control, lambda t_s, done: 30.0)
    restarted(control, tuple((t_s, t_s + 1.0) for t_s in range(10, 145, 8)))
    found = judged_by(control, "memory_growth")
    assert found.outcome == "inconclusive"
    assert "0 long enough" in found.summary


@pytest.mark.parametrize(
    ("key", "check"),
    [
        ("watcher.fds", "file_descriptors"),
        ("watcher.threads", "resource_growth"),
        ("watcher.sockets_close_wait", "resource_growth"),
    ],
)
@pytest.mark.parametrize(("leak", "outcome"), [(0.0, "pass"), (0.5, "fail")])
def test_what_is_counted_is_judged_life_by_life(
    control: PlantedRun, key: str, check: str, leak: float, outcome: str
) -> None:
    """40 before, 6 after a restart: no growth, unless the second life leaks one in two seconds."""
    control.config["criteria"] = {check: {}}
    control.signals[key] = lambda t_s, done: (
        40 if t_s < RESTART_S else 6 + int(leak * (t_s - BACK_S))
    )
    restarted(control, ((RESTART_S, BACK_S),))
    found = judged_by(control, check)
    assert found.outcome == outcome
    assert any("restarted 1x" in one.text for one in found.evidence)
