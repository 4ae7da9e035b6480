"""Queue faults: what they plant, how it is measured, and what counts as recovered.

There is no Watcher here (queue_hand.py): the tests do what it does, or must not do.
test_catalogue.py runs the kinds on the real stack.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from chaos.faults.base import noop_twin
from chaos.faults.queue import shapes
from chaos.faults.queue.base import QueueFault, ended_wrong
from chaos.faults.queue.folder import content_of, was_read
from chaos.faults.queue.queue_bad_file import QueueCorruption, QueueZeroLength, reads_everything
from chaos.faults.queue.shapes import CORRUPT
from chaos.faults.registry import kinds_of
from tests.faults.queue_hand import Hand, effect, hand, made, recovered, stack
from tests.waiting import wait_for

KINDS = kinds_of("queue")

__all__ = ["hand"]  # a fixture


# -- what is measured -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", sorted(CORRUPT))
def test_each_bad_shape_has_a_defect_and_a_good_request_has_none(hand: Hand, shape: str) -> None:
    """The defect is measured on the file, not taken from the plan."""
    queue = hand.target.work
    good = {"request_type": "selfplay", "source": "s", "reason": "r"}
    planted = CORRUPT[shape](queue, "bad.json", dict(good))
    assert planted.wrong(hand.folder.submit / "bad.json") == ""  # nothing there yet
    planted.put(hand.folder)
    assert planted.wrong(hand.folder.submit / "bad.json")
    assert hand.folder.pending() == ["bad.json"]
    hand.folder.put("good.json", json.dumps(good).encode())
    assert planted.wrong(hand.folder.submit / "good.json") == ""


def test_mode_0_is_unreadable_unless_the_process_reads_everything(hand: Hand) -> None:
    """Root reads a file of mode 0, and the measurement says so."""
    shapes.mode_0(hand.target.work, "a.json", {"request_type": "selfplay"}).put(hand.folder)
    bound = not reads_everything(os.getpid())
    assert bool(shapes.unreadable(hand.folder.submit / "a.json")) is bound


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, setpriv")
def test_reads_everything_follows_the_capabilities_of_the_process() -> None:
    argv = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "sleep", "30"]
    with subprocess.Popen(argv) as nobody:
        try:
            wait_for("it has become nobody", lambda: not reads_everything(nobody.pid))
        finally:
            nobody.kill()
    assert reads_everything(os.getpid())
    assert not reads_everything(nobody.pid)  # gone


def test_content_of_keeps_the_access_time_and_a_read_changes_it(hand: Hand) -> None:
    """So a look of the fault does not count as a read by the Watcher."""
    hand.folder.put("a.json", b"{}")
    path = hand.folder.submit / "a.json"
    assert content_of(path) == b"{}" and not was_read(path)
    hand.read("a.json")
    assert was_read(path)


def test_a_renamed_file_is_found_by_its_stem(hand: Hand) -> None:
    hand.folder.put("queue_f001_x.json", b"")
    target = hand.folder.submit / "quarantine" / "INVALID_20260101_queue_f001_x.json"
    (hand.folder.submit / "queue_f001_x.json").rename(target)
    assert hand.folder.places("queue_f001_x.json") == ["quarantined"]
    assert hand.folder.path("queue_f001_x.json", "quarantined") == target


@pytest.mark.parametrize(
    ("end", "places", "effects", "fine"),
    [
        ("quarantined", ["quarantined"], 0, True),
        ("quarantined", ["archived"], 0, True),  # put away with a status, not worked off
        ("quarantined", ["archived"], 1, False),
        ("quarantined", ["pending"], 0, False),
        ("quarantined", [], 0, False),
        ("archived", ["archived"], 1, True),
        ("archived", ["archived"], 2, False),
        ("archived", ["archived"], 0, False),
        ("archived", ["quarantined"], 0, False),
        ("archived", ["claimed"], 0, False),
        ("once", ["archived", "quarantined"], 1, True),
        ("once", ["pending", "archived"], 1, False),
        ("once", [], 0, False),
        ("gone", [], 0, True),
        ("gone", ["pending"], 0, False),
        ("gone", ["archived"], 1, False),
    ],
)
def test_ended_wrong_accepts_only_the_required_place(
    end: Any, places: list[Any], effects: int, fine: bool
) -> None:
    assert (ended_wrong(end, places, effects) == "") is fine


# -- the life of a bad file -------------------------------------------------------------------


def test_a_bad_file_is_proven_and_recovered(hand: Hand) -> None:
    fault = made(QueueZeroLength, hand)
    [name] = [one.name for one in fault.planted]
    fault.inject(stack(hand))
    seen = effect(fault, hand)
    assert seen.proven and "path_taken" not in seen.measured  # nobody has met it
    hand.read(name)
    seen = effect(fault, hand)
    assert seen.proven and "read" in seen.measured["path_taken"]
    hand.move(name, "quarantine")
    fault.recover(stack(hand))
    assert not recovered(fault, hand).proven  # the good request is not decided
    fault.recover(stack(hand))  # twice is once
    hand.work(fault.name_of("after"))
    done = recovered(fault, hand)
    assert done.proven and done.measured["submitted_after"] == fault.name_of("after")


def test_file_with_other_content_proves_no_effect(hand: Hand) -> None:
    """A file of the right name with other bytes is not what was planted."""
    fault = made(QueueZeroLength, hand)
    hand.folder.put(fault.planted[0].name, b"{")
    assert not effect(fault, hand).proven


def test_a_bad_file_that_waits_or_took_effect_prevents_recovery(hand: Hand) -> None:
    fault = made(QueueZeroLength, hand)
    fault.inject(stack(hand))
    fault.recover(stack(hand))
    hand.work(fault.name_of("after"))
    found = recovered(fault, hand)
    assert not found.proven and "pending" in str(found.measured["amiss"])
    hand.work(fault.planted[0].name)
    found = recovered(fault, hand)
    assert not found.proven and "no good request" in str(found.measured["amiss"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_noop_twin_proves_no_effect_and_recovers_at_once(
    kind: type[QueueFault], hand: Hand
) -> None:
    lock = {"pid": hand.pid(), "start_ticks": None}
    (hand.workspace / "watcher.lock").write_text(json.dumps(lock))
    twin = made(noop_twin(kind), hand)
    twin.inject(stack(hand))
    assert not effect(twin, hand).proven
    twin.recover(stack(hand))
    assert recovered(twin, hand).proven
    assert hand.folder.pending() == []


def test_queue_corruption_plants_all_shapes_or_one(hand: Hand) -> None:
    assert len(made(QueueCorruption, hand).planted) == len(CORRUPT)
    assert len(made(QueueCorruption, hand, shape="torn").planted) == 1


def test_an_error_of_the_file_system_is_an_environment_problem(hand: Hand) -> None:
    """With the place of the file that cannot be planted."""
    from chaos.base.errors import EnvironmentProblem

    fault = made(QueueZeroLength, hand)
    shutil.rmtree(hand.folder.submit)
    hand.folder.submit.write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem, match="cannot put it into the queue"):
        fault.inject(stack(hand))
