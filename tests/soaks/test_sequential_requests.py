"""Soak B's ten requests are the plan's, in the target's form, and are staged before the start."""

from __future__ import annotations

from msgspec.structs import replace

from chaos.base.deadline import Deadline
from chaos.soaks.sequential_requests import SequentialRequests
from tests.soaks.ground import Ground

# The plan's table (section 5, step 1): type, and episodes or scope.
PLAN = [
    ("selfplay", 2),
    ("selfplay", 3),
    ("selfplay", 2),
    ("selfplay", 1),
    ("selfplay", 2),
    ("learning_loop", "steps_3_5_6"),
    ("learning_loop", "steps_3_5_6"),
    ("learning_loop", "steps_3_5_6"),
    ("selfplay", 2),
    ("selfplay", 3),
]


def staged(ground: Ground) -> SequentialRequests:
    workload = SequentialRequests(ground.target, {}, ground.history)
    workload.stage(ground.workspace)
    return workload


def test_the_staged_files_are_exactly_those_of_the_plan(ground: Ground) -> None:
    staged(ground)
    names = [f"soak_B_{n:02d}_20260203_10{n - 1:02d}00.json" for n in range(1, 11)]
    assert ground.pending() == names
    for number, (name, (kind, amount)) in enumerate(zip(names, PLAN, strict=True), start=1):
        selfplay = kind == "selfplay"
        task = f"selfplay {amount}ep" if selfplay else "learn 3-5-6"
        parameters = {"episodes": amount, "policy_conditioned": True}
        request = ground.request(name)
        assert request == {
            "request_type": kind,
            "source": "soak_test_B",
            "sequence_number": number,
            "timestamp": f"2026-02-03T10:{number - 1:02d}:00Z",
            "reason": f"Soak B \u2014 request {number:02d} ({task})",
            "parameters": parameters if selfplay else {"scope": amount},
        }
        assert list(request)[:2] == ["request_type", "source"], "in the plan's order"


def test_the_queue_holds_only_complete_requests(ground: Ground) -> None:
    staged(ground)
    assert len([path for path in ground.queue.iterdir() if path.is_file()]) == 10


def test_the_requests_are_recorded_in_order_after_the_starting_state(ground: Ground) -> None:
    """Later checks compare with the state before the Watcher could change anything."""
    staged(ground)
    ops = ground.ops("submit")
    assert [op.outcome for op in ops] == ["ok"] * 10
    assert [op.id for op in ops] == ground.pending()
    assert [op.detail["sequence"] for op in ops] == list(range(1, 11))
    records = ground.records()
    assert records.index(ground.events("baseline_files")[0]) < records.index(ops[0])


def test_a_template_may_rename_types_and_put_parameters_at_the_top_level(ground: Ground) -> None:
    """The form of another Watcher's requests needs only a profile, no code."""
    flat = {
        "selfplay": {"request_type": "selfplay_retrain", "episodes": "{episodes}", "n": "{id}"},
        "learning_loop": {"request_type": "learning_loop", "scope": "{scope}"},
    }
    queue = replace(ground.target.work, kinds=flat)
    ground.target = replace(ground.target, work=queue)
    staged(ground)
    first, sixth = ground.pending()[0], ground.pending()[5]
    expected = {"request_type": "selfplay_retrain", "episodes": 2, "n": first}
    assert ground.request(first) == expected
    assert ground.request(sixth) == {"request_type": "learning_loop", "scope": "steps_3_5_6"}


def test_done_requires_two_consecutive_empty_polls(ground: Ground) -> None:
    """A request that moves between two folders must not end the run."""
    workload = staged(ground)
    workload.tick()
    assert not workload.done()
    last = ground.pending()[-1]
    ground.answer(9)
    (ground.queue / last).rename(ground.queue / "claimed" / last)
    for _ in range(3):
        workload.tick()
    assert not workload.done(), "a claimed request is not answered"
    (ground.queue / "claimed" / last).rename(ground.archive / last)
    workload.tick()
    assert not workload.done()
    workload.tick()
    assert workload.done()


def test_a_fault_gets_a_probe_only_if_no_request_waits(ground: Ground) -> None:
    workload = staged(ground)
    workload.on_fault("f001", active=True)
    assert len(ground.pending()) == 10
    ground.answer(10)
    workload.on_fault("f001", active=False)
    assert [op.detail["purpose"] for op in ground.ops("submit")][10:] == ["after f001"]
    assert ground.request(ground.pending()[0])["source"] == "soak_probe", "not one of the ten"


def test_a_probe_follows_a_fault_if_only_one_request_is_left(ground: Ground) -> None:
    """That request is in progress, and may have made its last LLM call during the fault."""
    workload = staged(ground)
    ground.answer(9)
    workload.on_fault("f001", active=True)
    assert len(ground.pending()) == 1, "it can meet the fault"
    workload.on_fault("f001", active=False)
    assert [op.detail["purpose"] for op in ground.ops("submit")][10:] == ["after f001"]


def test_drained_names_the_requests_that_were_not_answered_in_time(ground: Ground) -> None:
    workload = staged(ground)
    workload.finish(Deadline(0.05))
    drained = ground.events("drained")[0].detail
    assert (drained["pending"], drained["in_time"]) == (10, False)
