"""Signals of files: queue folders, decision log, draws, disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chaos.record.target import Target
from chaos.witness.base import Source, Values
from chaos.witness.draws import DrawCount
from chaos.witness.files import Decisions, Disk, Folders


def read(source: Source) -> Values:
    values: Values = {}
    source.read(values)
    return values


def test_queue_counts_follow_every_change(workspace: Path, target: Target) -> None:
    """Each folder's count is right after each change, however fast the changes come."""
    source = Folders.of_queue(workspace, target.work)
    requests = workspace / "watcher_requests"
    for number in range(30):
        (requests / f"r{number}.json").write_text("{}")
        assert read(source)["queue.pending"] == number + 1
    for number in range(30):
        name = f"r{number}.json"
        (requests / name).rename(requests / "claimed" / name)
        assert read(source)["queue.claimed"] == 1
        (requests / "claimed" / name).rename(requests / "archive" / name)
        values = read(source)
        assert (values["queue.pending"], values["queue.archived"]) == (29 - number, number + 1)


def test_queue_counts_only_names_that_match_the_pattern(workspace: Path, target: Target) -> None:
    """Hidden files, temporary files and other names do not count, as in a shell."""
    requests = workspace / "watcher_requests"
    for name in (".r1.json", "r2.json.part", "notes.txt", "r3.json"):
        (requests / name).write_text("{}")
    source = Folders.of_queue(workspace, target.work)
    assert read(source)["queue.pending"] == 1
    (requests / ".r1.json").unlink()
    assert read(source)["queue.pending"] == 1


def test_quarantine_counts_requests_not_reasons(workspace: Path, target: Target) -> None:
    """A quarantined request and the file with its reason count once."""
    folder = workspace / "watcher_requests" / "quarantine"
    for name in ("a.json", "a.json.reason.json", "b.bin", "b.bin.reason.json", "c.json"):
        (folder / name).write_text("{}")
    assert read(Folders.of_queue(workspace, target.work))["queue.quarantined"] == 3


def test_a_missing_folder_removes_only_its_own_key(workspace: Path, target: Target) -> None:
    source = Folders.of_queue(workspace, target.work)
    assert read(source)["queue.quarantined"] == 0
    (workspace / "watcher_requests" / "quarantine").rmdir()
    values = read(source)
    assert "queue.quarantined" not in values and values["queue.archived"] == 0
    assert list(source.absences()) == ["queue.quarantined"]


def decision(number: int, **fields: object) -> str:
    return json.dumps({"decision_id": number, "status": "COMPLETED", **fields}) + "\n"


def test_a_folder_that_returns_unchanged_is_counted_again(workspace: Path, target: Target) -> None:
    """A folder with an old modification time is not listed again, e.g. after a new mount."""
    folder = workspace / "watcher_requests" / "quarantine"
    (folder / "a.json").write_text("{}")
    os.utime(folder, (1, 1))
    source = Folders.of_queue(workspace, target.work)
    assert read(source)["queue.quarantined"] == 1
    folder.rename(workspace / "away")
    assert "queue.quarantined" not in read(source)
    (workspace / "away").rename(folder)
    assert read(source)["queue.quarantined"] == 1


def test_decisions_are_counted_by_their_fields(workspace: Path, target: Target) -> None:
    """The same words elsewhere in the line do not count."""
    log = workspace / target.decisions.path
    log.write_text(
        decision(1)
        + decision(2, heuristic_fallback=True)
        + decision(3, status="FAILED", reason="not COMPLETED")
        + decision(4, heuristic_fallback=False)
    )
    assert read(Decisions(workspace, target.decisions, ["COMPLETED"])) == {
        "decisions.lines": 4,
        "decisions.completed": 3,
        "decisions.fallbacks": 1,
    }


def test_a_torn_line_counts_once_when_it_is_complete(workspace: Path, target: Target) -> None:
    """A line that arrives byte by byte counts exactly once, after its newline."""
    source = Decisions(workspace, target.decisions, ["COMPLETED"])
    line = decision(1, note="é")
    with (workspace / target.decisions.path).open("wb", buffering=0) as log:
        for byte in line.encode()[:-1]:
            log.write(bytes([byte]))
            assert read(source)["decisions.lines"] == 0
        log.write(b"\n" + decision(2).encode()[:10])
        values = read(source)
        assert (values["decisions.lines"], values["decisions.completed"]) == (1, 1)
        assert "decisions.unreadable" not in values
        log.write(decision(2).encode()[10:])
        assert read(source)["decisions.completed"] == 2


def test_unreadable_lines_are_counted_separately(workspace: Path, target: Target) -> None:
    """Garbage counts in `decisions.unreadable`; the lines around it still count."""
    (workspace / target.decisions.path).write_bytes(
        decision(1).encode() + b'{"status": "COM\xff\n' + b"[1]\n" + decision(2).encode()
    )
    values = read(Decisions(workspace, target.decisions, ["COMPLETED"]))
    assert (values["decisions.lines"], values["decisions.completed"]) == (4, 2)
    assert values["decisions.unreadable"] == 2


def test_a_replaced_or_truncated_decision_log_is_counted_from_0(
    workspace: Path, target: Target
) -> None:
    """Counts describe the current content of the log."""
    log = workspace / target.decisions.path
    source = Decisions(workspace, target.decisions, ["COMPLETED"])
    assert read(source) == {} and "decisions" in source.absences()
    log.write_text(decision(1) + decision(2))
    assert read(source)["decisions.lines"] == 2
    log.write_text(decision(1))
    assert read(source)["decisions.lines"] == 1
    other = log.with_name("other")
    other.write_text(decision(1) + decision(2) + decision(3))
    other.replace(log)
    assert read(source)["decisions.lines"] == 3


def test_a_backlog_is_read_in_bounded_steps(workspace: Path, target: Target) -> None:
    """A large log is counted exactly, over several reads."""
    lines = 9000
    (workspace / target.decisions.path).write_text(
        "".join(decision(number, padding="x" * 250) for number in range(lines))
    )
    source = Decisions(workspace, target.decisions, ["COMPLETED"])
    counts = [read(source)["decisions.completed"] for _ in range(4)]
    assert counts[-1] == lines
    assert counts[0] != lines


def replace_draws(workspace: Path, content: str) -> None:
    part = workspace / "part"
    part.write_text(content)
    part.replace(workspace / "lottery_history.json")


def test_draw_count_is_exact_for_every_version(workspace: Path) -> None:
    """Appended, shortened, changed, pretty-printed, with other keys: the count is right."""
    source = DrawCount(workspace, "lottery_history.json", "draws")
    draws = [{"value": number, "note": "]}, {"} for number in range(50)]
    versions = [json.dumps({"draws": draws[:n]}) for n in (0, 1, 2, 2, 5, 50, 49, 48, 50)]
    versions += [json.dumps({"draws": draws[:n]}, indent=1) for n in (10, 11, 12)]
    versions += [json.dumps({"draws": draws[:n], "other": draws[:n]}) for n in (3, 4, 4)]
    versions += [json.dumps({"other": [], "draws": draws[:n]}) for n in (5, 6)]
    versions += [json.dumps({"draws": list(range(n))}) for n in (3, 4, 11, 12)]
    versions += ['{"draws": [5]}', '{"draws": [57]}', '{"draws": [57, 5]}']
    for version in versions:
        replace_draws(workspace, version)
        assert read(source)["draws.count"] == len(json.loads(version)["draws"])


@pytest.mark.parametrize(
    ("place", "document"), [(".", [1, 2, 3]), ("all.draws", {"all": {"draws": [1, 2, 3]}})]
)
def test_draws_are_counted_wherever_their_list_stands(
    workspace: Path, place: str, document: object
) -> None:
    source = DrawCount(workspace, "lottery_history.json", place)
    replace_draws(workspace, json.dumps(document))
    assert read(source)["draws.count"] == 3
    replace_draws(workspace, '{"all": {"draws": 3}}')
    assert read(source) == {}


def test_a_broken_draw_history_is_absent_until_it_is_repaired(workspace: Path) -> None:
    """A file that cannot be decoded has no count."""
    source = DrawCount(workspace, "lottery_history.json", "draws")
    assert read(source) == {} and "draws" in source.absences()
    whole = json.dumps({"draws": [{"value": 1}, {"value": 2}]})
    for broken in (whole[:-5], "", "[]", '{"draws": 3}', whole + "x"):
        replace_draws(workspace, broken)
        assert read(source) == {}
        assert "not a draw history" in source.absences()["draws"]
        replace_draws(workspace, whole)
        assert read(source)["draws.count"] == 2
        assert source.absences() == {}


def test_disk_measures_the_workspace_volume(workspace: Path) -> None:
    values = read(Disk(workspace))
    assert values["disk.workspace_free_bytes"] and values["disk.workspace_used_bytes"]
