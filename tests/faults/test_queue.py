"""Queue faults: what they plant, how it is measured, and what counts as recovered.

On the real stack they are lived by test_catalogue.py; here a hand takes the place of the Watcher,
so that it can do what a Watcher must not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.deadline import Deadline
from chaos.faults.base import Fault, noop_twin, parse_params
from chaos.faults.queue import KINDS, shapes
from chaos.faults.queue.base import QueueFault, ended_wrong
from chaos.faults.queue.folder import QueueFolder, content_of, was_read
from chaos.faults.queue.queue_bad_file import QueueZeroLength, reads_everything
from chaos.faults.queue.queue_corruption import QueueCorruption
from chaos.faults.queue.queue_duplicate import QueueDuplicateFile, QueueDuplicateId
from chaos.faults.queue.queue_flood import QueueFlood
from chaos.faults.queue.queue_future_time import QueueFutureTime
from chaos.faults.queue.queue_halt_race import QueueHaltRace
from chaos.faults.queue.queue_poison_head import QueuePoisonHead
from chaos.faults.queue.queue_stale_lock import QueueStaleLock
from chaos.faults.queue.queue_torn_log import QueueTornLog
from chaos.faults.queue.queue_torn_write import QueueTornWrite
from chaos.faults.queue.queue_vanishing import QueueVanishing
from chaos.faults.queue.shapes import CORRUPT
from chaos.stack.base import Stack
from chaos.target import Target
from chaos.yamlfile import load

REPO = Path(__file__).resolve().parents[2]
FEW_S, LIMIT_S = 0.3, 10.0


class Hand:
    """Stands for a stack whose Watcher is moved by hand: a workspace, and a process that can be
    killed and started again (`sleep`, which leaves the queue alone).
    """

    def __init__(self, workspace: Path) -> None:
        self.target = load(REPO / "experiments" / "targets" / "reference.yaml", Target)
        self.workspace = workspace
        self.folder = QueueFolder(workspace, self.target.queue)
        for place in ("claimed", "archive", "quarantine"):
            (workspace / "watcher_requests" / place).mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = self._decisions = 0
        self.refuses = self.code = 0
        self.start()

    def service(self, name: str) -> Hand:
        assert name in ("watcher", "proxy")
        return self

    def start(self) -> None:
        if self.refuses:
            from chaos.errors import EnvironmentProblem

            raise EnvironmentProblem("watcher ended with exit code 4 at its start")
        self.process = subprocess.Popen(["sleep", "60"])
        self.started += 1

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT_S)
            self.process = None

    def alive(self) -> bool:
        return self.process is not None

    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def exit_code(self) -> int:
        return self.code

    def read(self, name: str) -> None:
        """As the Watcher reads a pending file."""
        (self.folder.submit / name).read_bytes()

    def move(self, name: str, folder: str) -> None:
        (self.folder.submit / name).rename(self.folder.submit / folder / name)

    def work(self, name: str) -> None:
        """Take it, decide it, archive it."""
        self._decisions += 1
        entry = {
            "decision_id": f"d{self._decisions:06d}",
            "request_file": name,
            "dispatch": "dispatch_selfplay",
            "status": "COMPLETED",
        }
        with (self.workspace / self.target.decisions.path).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        self.move(name, "archive")


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path / "workspace")
    yield made
    made.kill()


def stack(hand: Hand) -> Stack:
    return cast(Stack, hand)


def made(kind: type[Fault], hand: Hand, **raw: Any) -> Any:
    """A fault of this kind, armed."""
    fault = kind("f001", parse_params(kind, raw, place="test"))
    assert fault.available(stack(hand)) is None
    fault.undo_record(stack(hand))
    return fault


def effect(fault: QueueFault, hand: Hand, limit_s: float = FEW_S) -> Any:
    return fault.effect(stack(hand), Deadline(limit_s))


def recovered(fault: QueueFault, hand: Hand, limit_s: float = FEW_S) -> Any:
    return fault.recovered(stack(hand), Deadline(limit_s))


# -- what is measured -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", sorted(CORRUPT))
def test_each_shape_is_measured_as_bad_and_a_good_request_is_not(hand: Hand, shape: str) -> None:
    """What is wrong is told from what lies there, not from what was meant to lie there."""
    queue = hand.target.queue
    good = {"request_type": "selfplay", "source": "s", "reason": "r"}
    planted = CORRUPT[shape](queue, "bad.json", dict(good))
    assert planted.wrong(hand.folder.submit / "bad.json") == ""  # nothing there yet
    planted.put(hand.folder)
    assert planted.wrong(hand.folder.submit / "bad.json")
    assert hand.folder.pending() == ["bad.json"]
    hand.folder.put("good.json", json.dumps(good).encode())
    assert planted.wrong(hand.folder.submit / "good.json") == ""


def test_a_mode_binds_those_whom_it_binds(hand: Hand) -> None:
    """Root reads a file of mode 0, and the measurement says so."""
    shapes.mode_0(hand.target.queue, "a.json", {"request_type": "selfplay"}).put(hand.folder)
    bound = not reads_everything(os.getpid())
    assert bool(shapes.unreadable(hand.folder.submit / "a.json")) is bound


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, setpriv")
def test_who_reads_everything_is_told_by_its_rights() -> None:
    argv = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "sleep", "30"]
    with subprocess.Popen(argv) as nobody:
        try:
            deadline = Deadline(LIMIT_S)
            while reads_everything(nobody.pid) and deadline.wait(0.01):
                pass
            assert not reads_everything(nobody.pid)
        finally:
            nobody.kill()
    assert reads_everything(os.getpid())
    assert not reads_everything(nobody.pid)  # gone


def test_looking_leaves_no_trace_and_reading_does(hand: Hand) -> None:
    """Our own looks are never taken for the Watcher's."""
    hand.folder.put("a.json", b"{}")
    path = hand.folder.submit / "a.json"
    assert content_of(path) == b"{}" and not was_read(path)
    hand.read("a.json")
    assert was_read(path)


def test_a_name_that_was_lengthened_is_found(hand: Hand) -> None:
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
def test_where_a_planted_file_must_end(
    end: Any, places: list[Any], effects: int, fine: bool
) -> None:
    assert (ended_wrong(end, places, effects) == "") is fine


# -- the life of a bad file -------------------------------------------------------------------


def test_a_bad_file_is_proven_met_and_recovered(hand: Hand) -> None:
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


def test_another_content_is_no_proof(hand: Hand) -> None:
    """A file of the right name with other bytes is not what was planted."""
    fault = made(QueueZeroLength, hand)
    hand.folder.put(fault.planted[0].name, b"{")
    assert not effect(fault, hand).proven


def test_a_bad_file_that_waits_or_is_worked_off_is_no_recovery(hand: Hand) -> None:
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
def test_a_twin_proves_nothing_and_has_nothing_to_recover_from(
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


def test_all_shapes_or_one(hand: Hand) -> None:
    assert len(made(QueueCorruption, hand).planted) == len(CORRUPT)
    assert len(made(QueueCorruption, hand, shape="torn").planted) == 1


def test_a_full_queue_folder_is_the_machines_trouble(hand: Hand) -> None:
    """What cannot be planted is told as a problem with a place, never as a traceback."""
    from chaos.errors import EnvironmentProblem

    fault = made(QueueZeroLength, hand)
    shutil.rmtree(hand.folder.submit)
    hand.folder.submit.write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem, match="cannot put it into the queue"):
        fault.inject(stack(hand))


# -- the others -------------------------------------------------------------------------------


def test_half_a_request_is_completed_after_it_was_read(hand: Hand) -> None:
    fault = made(QueueTornWrite, hand, delay=0.1)
    [name] = [one.name for one in fault.planted]
    fault.inject(stack(hand))
    seen = effect(fault, hand)
    assert seen.proven and "path_taken" not in seen.measured
    assert seen.measured["bytes"] * 2 <= seen.measured["of"] + 1
    hand.read(name)
    deadline = Deadline(LIMIT_S)
    path = hand.folder.submit / name
    while content_of(path) != fault.planted[0].content and deadline.wait(0.01):
        pass
    fault.recover(stack(hand))
    hand.work(name)
    hand.work(fault.name_of("after"))
    assert recovered(fault, hand).proven


def test_a_request_that_nobody_reads_is_completed_all_the_same(hand: Hand) -> None:
    """Nobody has read the half: the rest is there once recovery has given up, and it is said."""
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
def test_twins_must_take_effect_once(kind: type[Fault], raw: dict[str, Any], hand: Hand) -> None:
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


def test_the_last_archived_request_comes_again(hand: Hand) -> None:
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


def test_files_vanish_once_they_were_read(hand: Hand) -> None:
    fault = made(QueueVanishing, hand, reads=1, files=1000)
    fault.inject(stack(hand))
    deadline = Deadline(LIMIT_S)
    while not fault._vanished and deadline.wait(0.001):
        for name in hand.folder.pending():
            try:
                hand.read(name)
            except FileNotFoundError:
                continue
    assert effect(fault, hand).proven
    fault.recover(stack(hand))
    assert hand.folder.pending() == [fault.name_of("after")]


def test_a_file_is_renamed_once_it_was_read_and_then_completed(hand: Hand) -> None:
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


def test_poison_is_first_by_name_and_by_age(hand: Hand) -> None:
    hand.folder.put("000_early.json", b"{}")
    (hand.folder.submit / "000_early.json").unlink()
    fault = made(QueuePoisonHead, hand)
    fault.inject(stack(hand))
    waiting = hand.folder.pending()
    ages = {name: (hand.folder.submit / name).stat().st_mtime for name in waiting}
    assert waiting[0] == min(ages, key=ages.__getitem__) and "poison" in waiting[0]
    assert effect(fault, hand).proven


def test_a_request_from_the_future_is_measured_against_the_clock(hand: Hand) -> None:
    fault = made(QueueFutureTime, hand, ahead="1h")
    fault.inject(stack(hand))
    future = fault.planted[0]
    assert effect(fault, hand).proven
    os.utime(hand.folder.submit / future.name)
    assert future.wrong(hand.folder.submit / future.name) == ""


def test_leftovers_are_counted_removed_and_must_not_be_taken(hand: Hand) -> None:
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


def test_half_a_line_is_met_when_the_log_is_whole_again(hand: Hand) -> None:
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
def test_a_stale_lock_is_taken_over_by_a_new_watcher(hand: Hand, how: str) -> None:
    lock = hand.workspace / "watcher.lock"
    lock.write_text("{}")
    fault = made(QueueStaleLock, hand, how=how)
    fault.inject(stack(hand))
    seen = effect(fault, hand)
    assert seen.proven and seen.measured["watcher"] is None
    fault.recover(stack(hand))
    hand.work(fault.name_of("after"))
    assert "does not name the new Watcher" in str(recovered(fault, hand).measured["amiss"])
    from chaos.faults.process.identity import Identity

    watcher = Identity.of(hand.pid())
    assert watcher is not None
    lock.write_text(json.dumps(watcher.record()))
    assert recovered(fault, hand).proven and hand.started == 2


def test_a_watcher_that_a_stale_lock_keeps_out_is_no_recovery(hand: Hand) -> None:
    """Told as what is amiss with it, not as trouble of the harness."""
    fault = made(QueueStaleLock, hand)
    fault.inject(stack(hand))
    hand.refuses = 1
    fault.recover(stack(hand))
    assert "exit code 4" in str(recovered(fault, hand).measured["amiss"])


@pytest.mark.parametrize("code", [0, 1])
def test_a_watcher_halted_in_the_middle_is_started_again(hand: Hand, code: int) -> None:
    """It must have ended cleanly; the flag goes before it starts."""
    flag = hand.workspace / hand.target.halt.flag
    fault = made(QueueHaltRace, hand, flag="30s")
    [name] = [one.name for one in fault.planted]
    fault.inject(stack(hand))
    assert not effect(fault, hand).proven  # nothing is in work yet
    hand.move(name, "claimed")
    deadline = Deadline(LIMIT_S)
    while not flag.exists() and deadline.wait(0.01):
        pass
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


def test_a_flag_that_comes_and_goes_is_gone_in_the_end(hand: Hand) -> None:
    fault = made(QueueHaltRace, hand, how="flicker")
    fault.inject(stack(hand))
    assert effect(fault, hand, 1.0).measured["flag_seen"] > 0
    fault.recover(stack(hand))
    assert not (hand.workspace / hand.target.halt.flag).exists()


def test_a_foreign_halt_flag_is_left_where_it_is(hand: Hand) -> None:
    """Somebody else halts the Watcher meanwhile: that flag is not ours to remove."""
    flag = hand.workspace / hand.target.halt.flag
    fault = made(QueueHaltRace, hand)
    fault.inject(stack(hand))
    flag.write_text('{"reason": "soak complete"}')
    fault.recover(stack(hand))
    assert flag.exists()
