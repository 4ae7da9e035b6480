"""A soak goes at the pace of its target: slower phases and longer faults, never shorter ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.plan.plan import Plan
from chaos.runner.resolve import Request, resolve

TARGET = """
target: slow
watcher: {{start: [sleep, "9"]}}
work: {{submit: {{folder: in}}, done: out/*, body: {{id: "{{id}}"}}, unit_s: {unit_s}}}
poll_interval_s: {poll_s}
"""


def plan(folder: Path, poll_s: float, unit_s: float, soak: str = "soak_b", **more: object) -> Plan:
    path = folder / "slow.yaml"
    path.write_text(TARGET.format(poll_s=poll_s, unit_s=unit_s))
    more.setdefault("faults", ["llm_timeout"])
    return resolve(Request(soak, target=str(path), **more))  # type: ignore[arg-type]


def test_a_quick_daemon_gets_the_profile_as_it_is(tmp_path: Path) -> None:
    reference = resolve(Request("soak_b", faults=["llm_timeout"]))
    quick = plan(tmp_path, 1.0, 1.0)
    assert quick.profile == reference.profile
    assert quick.faults[0].params["hold"] == reference.faults[0].params["hold"] == 15.0


def test_a_daemon_that_looks_every_half_minute_meets_its_faults(tmp_path: Path) -> None:
    slow, quick = plan(tmp_path, 30.0, 1.0), plan(tmp_path, 1.0, 1.0)
    assert slow.faults[0].params["hold"] == pytest.approx(46.5)
    for name in ("baseline_s", "storm_s", "quiet_s", "drain_limit_s"):
        assert getattr(slow.profile, name) == pytest.approx(
            3.1 * getattr(quick.profile, name), rel=0.01
        )


def test_the_full_profile_is_made_for_that_pace(tmp_path: Path) -> None:
    slow = plan(tmp_path, 30.0, 1.0, profile="full")
    assert slow.profile == resolve(Request("soak_b", profile="full")).profile


def test_what_the_user_gives_stays(tmp_path: Path) -> None:
    given = plan(tmp_path, 30.0, 1.0, faults=["llm_timeout:hold=5s"], overrides=["baseline_s=3"])
    assert given.faults[0].params["hold"] == 5.0
    assert given.profile.baseline_s == 3.0


@pytest.mark.parametrize(("unit_s", "interval_s"), [(1.0, 3), (15.0, 22.5)])
def test_events_come_no_faster_than_the_daemon_can_work(
    tmp_path: Path, unit_s: float, interval_s: float
) -> None:
    paced = plan(tmp_path, 1.0, unit_s, "soak_c")
    assert paced.profile.settings["draw_interval_s"] == interval_s
    given = plan(tmp_path, 1.0, unit_s, "soak_c", overrides=["settings.draw_interval_s=2"])
    assert given.profile.settings["draw_interval_s"] == 2
