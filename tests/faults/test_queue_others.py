"""Queue faults that are more than one bad file: what they plant, the proofs, and recovery.

There is no Watcher here (queue_hand.py): the tests do what it does, or must not do.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import pytest

from chaos.faults.base import Fault
from chaos.faults.queue.folder import content_of
from chaos.faults.queue.half_written import QueueTornWrite, QueueVanishing
from chaos.faults.queue.order import QueueFutureTime, QueuePoisonHead
from chaos.faults.queue.queue_duplicate import QueueDuplicateFile, QueueDuplicateId
from chaos.faults.queue.queue_flood import QueueFlood
from chaos.faults.queue.queue_halt_race import QueueHaltRace
from chaos.faults.queue.queue_stale_lock import QueueStaleLock
from chaos.faults.queue.queue_torn_log import QueueTornLog
from tests.faults.queue_hand import LIMIT_S, Hand, effect, hand, made, recovered, stack
from tests.waiting import wait_for

__all__ = ["hand"]  # a fixture


def test_a_torn_write_is_completed_after_the_watcher_read_it(hand: Hand) -> None:
    fault = made(QueueTornWrite, hand, delay=0.1)
    [name] = [one.name for one in fault.planted]
    fault.inject(stack(hand))
    seen = effect(fault, hand)
    assert seen.proven and "path_taken" not in seen.measured
    assert seen.measured["bytes"] * 2 <= seen.measured["of"] + 1
    hand.read(name)
    path = hand.folder.submit / name
    wait_for("the whole content", lambda: content_of(path) == fault.planted[0].content)
    fault.recover(stack(hand))
    hand.work(name)
    hand.work(fault.name_of("after"))
    assert recovered(fault, hand).proven


def test_a_torn_write_that_nobody_reads_is_completed(hand: Hand) -> None:
    """Nobody has read the half: the rest is written when recovery gives up, with `not_met`."""
    fault = made(QueueTornWrite, hand, delay="30s")
    fault.inject(stack(hand))
    assert "not_met" in effect(fault, hand).measured
    fault.recover(stack(hand))
    assert "met_later" not in recovered(fault, hand).measured
    path = hand.folder.submit / fault.planted[0].name
    assert content_of(path) == fault.planted[0].content


@pytest.mark.parametrize(
    ("kind", "raw"),
    [(QueueDuplicateId, {}), (QueueDuplicateFile, {"how": "other_name"})],
)
def test_duplicates_must_take_effect_once(
    kind: type[Fault], raw: dict[str, Any], hand: Hand
) -> None:
    fault = made(kind, hand, **raw)
    first, second = [one.name for one in fault.planted]
    same = fault.planted[0].content == fault.planted[1].content
    assert same is (kind is QueueDuplicateFile)
    fault.inject(stack(hand))
    assert effect(fault, hand).proven
    fault.recover(stack(hand))
    hand.work(first)
    hand.work(fault.name_of("after"))
    hand.move(second, "quarantine")
    assert recovered(fault, hand).proven
    hand.folder.put(second, b"{}")
    hand.work(second)
    found = recovered(fault, hand)
    assert not found.proven and "took effect 2 times" in str(found.measured["amiss"])


def test_the_last_archived_request_is_duplicated(hand: Hand) -> None:
    hand.folder.put("old.json", b'{"request_type": "selfplay"}')
    hand.work("old.json")
    fault = made(QueueDuplicateFile, hand)
    assert [one.name for one in fault.planted] == ["old.json"]
    assert not effect(fault, hand).proven  # in the archive alone it is no duplicate
    fault.inject(stack(hand))
    assert effect(fault, hand).proven
    hand.move("old.json", "quarantine")
    fault.recover(stack(hand))
    hand.work(fault.name_of("after"))
    assert recovered(fault, hand).proven


def test_files_are_removed_after_the_watcher_read_them(hand: Hand) -> None:
    fault = made(QueueVanishing, hand, reads=1, files=1000)
    fault.inject(stack(hand))

    def vanished() -> bool:
        for name in hand.folder.pending():
            with contextlib.suppress(FileNotFoundError):
                hand.read(name)
        return bool(fault._vanished)

    wait_for("a file vanishes", vanished, pause_s=0.001)
    assert effect(fault, hand).proven
    fault.recover(stack(hand))
    assert hand.folder.pending() == [fault.name_of("after")]


def test_a_file_is_renamed_after_the_watcher_read_it_and_completed(hand: Hand) -> None:
    fault = made(QueueVanishing, hand, how="renamed")
    first, final = [one.name for one in fault.planted]
    fault.inject(stack(hand))
    assert not effect(fault, hand).proven
    hand.read(first)
    assert effect(fault, hand, LIMIT_S).proven
    fault.recover(stack(hand))
    hand.work(final)
    hand.work(fault.name_of("after"))
    assert recovered(fault, hand).proven


def test_poison_files_are_first_by_name_and_by_age(hand: Hand) -> None:
    hand.folder.put("000_early.json", b"{}")
    (hand.folder.submit / "000_early.json").unlink()
    fault = made(QueuePoisonHead, hand)
    fault.inject(stack(hand))
    waiting = hand.folder.pending()
    ages = {name: (hand.folder.submit / name).stat().st_mtime for name in waiting}
    assert waiting[0] == min(ages, key=ages.__getitem__) and "poison" in waiting[0]
    assert effect(fault, hand).proven


def test_a_modification_time_in_the_future_is_proven(hand: Hand) -> None:
    fault = made(QueueFutureTime, hand, ahead="1h")
    fault.inject(stack(hand))
    future = fault.planted[0]
    assert effect(fault, hand).proven
    os.utime(hand.folder.submit / future.name)
    assert future.wrong(hand.folder.submit / future.name) == ""


def test_leftovers_are_counted_and_removed_and_must_not_be_taken(hand: Hand) -> None:
    fault = made(QueueFlood, hand, files=200, bad=1, requests=1)
    fault.inject(stack(hand))
    seen = effect(fault, hand)
    assert seen.proven and seen.measured["leftovers"] == 200
    assert len(hand.folder.pending()) == 2  # the leftovers are none of the Watcher's business
    leftover = next(name for name in hand.folder.all_names() if "litter" in name)
    (hand.folder.submit / leftover).unlink()
    bad, good = [one.name for one in fault.planted]
    fault.recover(stack(hand))
    assert not any("litter" in name for name in hand.folder.all_names())
    hand.move(bad, "quarantine")
    hand.work(good)
    hand.work(fault.name_of("after"))
    assert "took 1 leftovers" in str(recovered(fault, hand).measured["amiss"])


def test_a_torn_log_is_met_when_it_ends_in_a_whole_line_again(hand: Hand) -> None:
    log = hand.workspace / hand.target.decisions.path
    log.write_text('{"decision_id": "d000001", "status": "COMPLETED"}\n')
    fault = made(QueueTornLog, hand)
    whole = log.read_bytes()
    fault.inject(stack(hand))
    torn = log.read_bytes()
    assert torn.startswith(whole) and not torn.endswith(b"\n")
    seen = effect(fault, hand)
    assert seen.proven and "path_taken" not in seen.measured
    log.write_bytes(torn + b"\n")  # a Watcher that only ends the half line: damage in the middle
    hand.work(fault.planted[0].name)
    fault.recover(stack(hand))
    hand.work(fault.name_of("after"))
    assert "damaged" in str(recovered(fault, hand).measured["amiss"])
    log.write_bytes(log.read_bytes().replace(torn[len(whole) :] + b"\n", b""))
    assert recovered(fault, hand).proven


@pytest.mark.parametrize("how", ["dead_pid", "reused_pid", "garbage"])
def test_a_stale_lock_is_recovered_when_it_names_a_new_watcher(hand: Hand, how: str) -> None:
    lock = hand.workspace / "watcher.lock"
    lock.write_text("{}")
    fault = made(QueueStaleLock, hand, how=how)
    fault.inject(stack(hand))
    seen = effect(fault, hand)
    assert seen.proven and seen.measured["watcher"] is None
    fault.recover(stack(hand))
    hand.work(fault.name_of("after"))
    assert "does not name the new Watcher" in str(recovered(fault, hand).measured["amiss"])
    from chaos.base.proc import Identity

    watcher = Identity.of(hand.pid())
    assert watcher is not None
    lock.write_text(json.dumps(watcher.record()))
    assert recovered(fault, hand).proven and hand.started == 2


def test_a_watcher_that_refuses_a_stale_lock_prevents_recovery(hand: Hand) -> None:
    """The evidence has it in `amiss`; no `EnvironmentProblem` is raised."""
    fault = made(QueueStaleLock, hand)
    fault.inject(stack(hand))
    hand.refuses = 1
    fault.recover(stack(hand))
    assert "exit code 4" in str(recovered(fault, hand).measured["amiss"])


@pytest.mark.parametrize("code", [0, 1])
def test_a_watcher_halted_while_it_works_is_started_again(hand: Hand, code: int) -> None:
    """It must end cleanly, and the flag is removed before it starts again."""
    flag = hand.workspace / hand.target.halt_flags[0]
    fault = made(QueueHaltRace, hand, flag="30s")
    [name] = [one.name for one in fault.planted]
    fault.inject(stack(hand))
    assert not effect(fault, hand).proven  # nothing is in work yet
    hand.move(name, "claimed")
    wait_for("the halt flag", flag.exists)
    hand.code = code
    hand.kill()
    seen = effect(fault, hand)
    assert seen.proven and seen.measured["halt"]["exit_code"] == code
    fault.recover(stack(hand))
    assert not flag.exists()
    (hand.folder.submit / "claimed" / name).rename(hand.folder.submit / name)
    hand.work(name)
    hand.work(fault.name_of("after"))
    found = recovered(fault, hand)
    assert found.proven is (code == 0) and hand.started == 2
    assert found.measured["halts"][0]["exit_code"] == code


def test_a_flickering_halt_flag_is_removed(hand: Hand) -> None:
    fault = made(QueueHaltRace, hand, how="flicker")
    fault.inject(stack(hand))
    assert effect(fault, hand, 1.0).measured["flag_seen"] > 0
    fault.recover(stack(hand))
    assert not (hand.workspace / hand.target.halt_flags[0]).exists()


def test_a_halt_flag_of_somebody_else_is_not_removed(hand: Hand) -> None:
    """Only a flag with the content of the fault is removed."""
    flag = hand.workspace / hand.target.halt_flags[0]
    fault = made(QueueHaltRace, hand)
    fault.inject(stack(hand))
    flag.write_text('{"reason": "soak complete"}')
    fault.recover(stack(hand))
    assert flag.exists()
