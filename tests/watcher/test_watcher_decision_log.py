"""The decision log: complete lines, continuous numbers, repaired after a torn write."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from agents.decision_log import DecisionLog


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "decision_id": f"d{number:06d}",
        "sequence_number": number,
        "source": "test",
        "request_file": f"r{number}.json",
        "dispatch": "dispatch_selfplay",
        **changes,
    }


def opened(root: Path) -> DecisionLog:
    log = DecisionLog(root)
    log.load()
    return log


def lines(log: DecisionLog) -> list[Any]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def test_numbers_continue_after_a_restart(tmp_path: Path) -> None:
    """The next number is derived from the log, not from memory."""
    log = opened(tmp_path)
    for number in (1, 2, 3):
        log.append(record(number))
    assert opened(tmp_path).next_number() == 4


def test_the_same_decision_is_appended_once(tmp_path: Path) -> None:
    """Repeating an append changes nothing, also after a restart."""
    opened(tmp_path).append(record(1))
    log = opened(tmp_path)
    log.append(record(1))
    assert lines(log) == [record(1)]


@pytest.mark.parametrize("cut", [1, 20, -2])
def test_a_torn_last_line_is_moved_to_the_torn_file(tmp_path: Path, cut: int) -> None:
    """Complete lines stay, and the torn decision's number is used again."""
    log = opened(tmp_path)
    log.append(record(1))
    torn = json.dumps(record(2)).encode()[:cut]
    with log.path.open("ab") as stream:
        stream.write(torn)
    reopened = opened(tmp_path)
    assert lines(reopened) == [record(1)]
    assert reopened.torn_path.read_bytes() == torn + b"\n"
    assert reopened.next_number() == 2


def test_a_complete_last_line_without_a_newline_is_kept(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.path.write_text(json.dumps(record(1)))
    reopened = opened(tmp_path)
    reopened.append(record(2))
    assert lines(reopened) == [record(1), record(2)]
    assert not reopened.torn_path.exists()


def test_a_tail_torn_while_running_is_repaired_before_the_next_line(tmp_path: Path) -> None:
    """Half a line of another writer never merges with a decision."""
    log = opened(tmp_path)
    with log.path.open("ab") as stream:
        stream.write(b'{"half": ')
    log.append(record(1))
    assert lines(log) == [record(1)]


def test_foreign_lines_do_not_reset_the_numbers(tmp_path: Path) -> None:
    """The last number is found even before more foreign text than the tail holds."""
    log = opened(tmp_path)
    log.append(record(41))
    with log.path.open("ab") as stream:
        stream.write(b"not json\n" * 200_000)
    assert opened(tmp_path).next_number() == 42


def test_remembered_decisions_are_bounded_and_the_number_continues(tmp_path: Path) -> None:
    """After ten thousand decisions only the last ones are remembered."""
    log = opened(tmp_path)
    text = "".join(json.dumps(record(number)) + "\n" for number in range(1, 10_001))
    log.path.write_text(text)
    reopened = opened(tmp_path)
    assert reopened.next_number() == 10_001
    assert len(reopened._files) <= 5_000
    assert reopened.processed_as("test", 10_000) == "r10000.json"


def test_a_quarantine_line_does_not_make_later_requests_duplicates(tmp_path: Path) -> None:
    """Only a dispatched request makes a later one with the same number a duplicate."""
    log = opened(tmp_path)
    log.append(record(1, dispatch=None))
    assert log.processed_as("test", 1) == ""


def test_a_line_that_does_not_fit_leaves_the_log_unchanged(tmp_path: Path) -> None:
    """The kernel accepts only a part of the line (file size limit); the part is removed."""
    log = opened(tmp_path)
    log.append(record(1))
    before = log.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            log.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.path.read_bytes() == before
    log.append(record(2))
    assert lines(log) == [record(1), record(2)]
    assert not log.torn_path.exists()


def test_a_foreign_half_line_between_repair_and_append_is_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer writes between the repair and the append; its text merges with no decision."""
    log = opened(tmp_path)
    log.append(record(1))
    repair, foreign = log.repair, [b'{"decision_id": "d0']

    def repair_then_foreign_write() -> None:
        repair()
        if foreign:
            with log.path.open("ab") as stream:
                stream.write(foreign.pop())

    monkeypatch.setattr(log, "repair", repair_then_foreign_write)
    log.append(record(2))
    assert lines(log) == [record(1), record(2)]
    assert log.torn_path.read_bytes() == b'{"decision_id": "d0\n'


def test_append_gives_up_if_another_writer_keeps_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of attempts is limited, and no half-written decision remains."""
    log = opened(tmp_path)

    def torn_again() -> None:
        log.path.write_bytes(b"{")

    monkeypatch.setattr(log, "repair", torn_again)
    with pytest.raises(OSError, match="somebody else"):
        log.append(record(1))
    assert log.path.read_bytes() == b"{"


def test_a_torn_line_longer_than_the_tail_is_removed(tmp_path: Path) -> None:
    """Three megabytes without a newline do not become the start of the next line."""
    log = opened(tmp_path)
    log.append(record(1))
    with log.path.open("ab") as stream:
        stream.write(b"\0" * 3_000_000)
    log.append(record(2))
    assert lines(log) == [record(1), record(2)]
