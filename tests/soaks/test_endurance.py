"""Soak A's probes: the plan's two in the full profile, and as many as possible in the quick one."""

from __future__ import annotations

from typing import Any

from chaos.base.deadline import Deadline
from chaos.runner.resolve import read_soak
from chaos.soaks.endurance import Endurance
from tests.soaks.ground import ClockedHistory, Ground, OneService

ACCELERATED = {"probe_every_s": 0, "probe_count": 0, "backlog_max": 3}


def started(ground: Ground, settings: dict[str, Any]) -> Endurance:
    workload = Endurance(ground.target, settings, ground.history)
    workload.stage(ground.workspace)
    none: Any = None  # endurance starts no service
    workload.start(OneService(ground.workspace, none))
    return workload


def test_the_full_profile_submits_probes_after_one_and_two_hours_only(
    ground: Ground, clock: ClockedHistory
) -> None:
    settings = read_soak("soak_a")[1].profiles["full"].settings
    workload = started(ground, settings)
    asked_s = []
    for second in range(0, 4 * 3600, 60):
        clock.clock_s = float(second)
        before = len(ground.pending())
        workload.tick()
        if len(ground.pending()) > before:
            asked_s.append(second)
    assert asked_s == [3600, 7200]


def test_a_probe_has_the_fields_of_the_plan(ground: Ground) -> None:
    workload = started(ground, ACCELERATED)
    workload.tick()
    (name,) = ground.pending()
    request = ground.request(name)
    assert name.startswith("soak_probe_")
    assert request.pop("timestamp").endswith("Z")
    assert request == {
        "request_type": "selfplay",
        "source": "soak_test_A_probe",
        "reason": "Soak test A \u2014 daemon responsiveness probe",
        "parameters": {"episodes": 2, "policy_conditioned": True},
    }, "the plan's probe has no sequence number"


def test_the_backlog_never_exceeds_backlog_max(ground: Ground) -> None:
    """A Watcher that has stopped working gets no further probes."""
    workload = started(ground, ACCELERATED)
    for _ in range(20):
        workload.tick()
    assert len(ground.pending()) == 3
    claimed = ground.pending()[0]
    (ground.queue / claimed).rename(ground.queue / "claimed" / claimed)
    workload.tick()
    assert len(ground.pending()) == 2, "what is claimed counts"


def test_the_next_probe_follows_as_soon_as_there_is_room(ground: Ground) -> None:
    workload = started(ground, ACCELERATED)
    for _ in range(12):
        workload.tick()
        ground.answer(1)
    names = [op.id for op in ground.ops("submit")]
    assert len(names) == len(set(names)) == 12, "each has a name of its own, also in one second"
    assert names == sorted(names), "by name they stand in the order of their arrival"


def test_a_fault_gets_a_probe_only_if_no_request_waits(ground: Ground) -> None:
    workload = started(ground, {**ACCELERATED, "probe_every_s": 3600})
    workload.on_fault("f001", active=True)
    workload.on_fault("f001", active=False)
    assert [op.detail["purpose"] for op in ground.ops("submit")] == ["during f001"]


def test_no_probe_is_submitted_after_a_fault_until_the_stack_was_idle(
    ground: Ground, clock: ClockedHistory
) -> None:
    """Slots and descriptors that an idle stack still holds are leaked."""
    workload = started(ground, ACCELERATED)
    workload.tick()
    workload.on_fault("f001", active=True)
    workload.tick()
    assert len(ground.pending()) == 2, "a fault does not end the feeding"
    workload.on_fault("f001", active=False)
    workload.tick()
    assert len(ground.pending()) == 2, "nothing new until the backlog is worked off"
    ground.answer(2)
    for clock.clock_s in (10.0, 11.0, 12.0):
        workload.tick()
        assert ground.pending() == []
    clock.clock_s = 13.0
    workload.tick()
    assert len(ground.pending()) == 1


def test_no_probe_is_submitted_after_abort(ground: Ground) -> None:
    workload = started(ground, ACCELERATED)
    workload.finish(Deadline(5.0))
    workload.tick()
    workload.on_fault("f001", active=False)
    assert ground.pending() == []
    assert ground.events("drained")[0].detail["in_time"] is True
