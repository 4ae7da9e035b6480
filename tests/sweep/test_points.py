"""The points of a piece of work: found in a control, and found again in a run of another order."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.record.open_run import OpenRun
from chaos.sweep.points import Point, agreed, masked, points_of
from tests.checks.history_builder import PlantedRun
from tests.checks.witness_builder import WATCHER, Witnessed

PIECE = "sweep_piece.json"
QUEUE = "watcher_requests"


def _control(folder: Path, *, submitted: bool = True) -> Witnessed:
    """A record in which one piece was submitted at 5 s, and no call was made yet."""
    made = Witnessed(PlantedRun(folder, cuts=()))
    made.lines = [line for line in made.lines if line["call"] == "process"]
    if submitted:
        made.run._add(5.0, "op", op="submit", id=PIECE, outcome="ok", detail={})
    return made


def _points(made: Witnessed) -> list[Point]:
    made.write()
    with OpenRun(made.run.write()) as run:
        return points_of(run, "selfplay", PIECE)


def _life(made: Witnessed, number: int = 44) -> None:
    part = f".result.json.{number}.tmp"
    made.add(4.0, "fsync", WATCHER, path="before")
    made.add(5.1, "rename", WATCHER, path=f"{QUEUE}/{PIECE}", to=f"{QUEUE}/claimed/{PIECE}")
    made.add(5.2, "fsync", WATCHER, path=f"{QUEUE}/claimed")
    made.add(5.3, "open", WATCHER, path=part)
    made.add(5.4, "fsync", WATCHER, path=part)
    made.add(5.5, "rename", WATCHER, path=part, to="result.json")
    made.add(5.5, "rename", WATCHER, path="__pycache__/a.pyc.123", to="__pycache__/a.pyc")
    made.add(6.0, "rename", WATCHER, path=f"{QUEUE}/claimed/{PIECE}", to=f"{QUEUE}/archive/{PIECE}")
    made.add(6.1, "fsync", WATCHER, path=f"{QUEUE}/claimed")
    made.add(9.0, "fsync", WATCHER, path="long after")


def test_points_are_the_durable_calls_between_submission_and_the_last_that_names_the_piece(
    tmp_path: Path,
) -> None:
    control = _control(tmp_path / "run")
    _life(control)
    found = _points(control)
    assert [(p.number, p.call, p.path, p.nth, p.role) for p in found] == [
        (1, "rename", f"{QUEUE}/claimed/{PIECE}", 1, "daemon"),
        (2, "fsync", f"{QUEUE}/claimed", 1, "daemon"),
        (3, "fsync", ".result.json.44.tmp", 1, "daemon"),
        (4, "rename", "result.json", 1, "daemon"),
        (5, "rename", f"{QUEUE}/archive/{PIECE}", 1, "daemon"),
        (6, "fsync", f"{QUEUE}/claimed", 2, "daemon"),
    ]


def test_a_daemon_may_begin_before_the_submission_has_returned(tmp_path: Path) -> None:
    control = _control(tmp_path / "run")
    control.add(4.98, "fsync", WATCHER, path="before")
    control.add(4.99, "rename", WATCHER, path=f"{QUEUE}/{PIECE}", to=f"{QUEUE}/claimed/{PIECE}")
    control.add(4.995, "fsync", WATCHER, path=f"{QUEUE}/claimed")
    found = _points(control)
    assert [(point.call, point.after_s) for point in found] == [("rename", 0.0), ("fsync", 0.005)]


def test_two_controls_agree_whatever_is_random_in_a_path(tmp_path: Path) -> None:
    first, second = _control(tmp_path / "first"), _control(tmp_path / "second")
    _life(first, 44)
    _life(second, 7351)
    second.add(5.6, "unlink", WATCHER, path="only here")
    both, alone = agreed(_points(first), _points(second))
    assert len(both) == 6
    assert alone == ["unlink only here"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a/.b.json.44.tmp", "a/.b.json.*.tmp"),
        ("cand_e7fd8828aa.json", "cand_*.json"),
        ("x[1].json", "x[[]*].json"),
        ("a,b:c=d", "a?b?c?d"),
    ],
)
def test_random_parts_and_signs_of_the_command_line_are_masked(path: str, pattern: str) -> None:
    assert masked(path) == pattern


def test_without_a_submission_there_is_no_point(tmp_path: Path) -> None:
    control = _control(tmp_path / "run", submitted=False)
    _life(control)
    assert _points(control) == []


def test_what_the_harness_asks_for_after_the_piece_is_no_point(tmp_path: Path) -> None:
    control = _control(tmp_path / "run")
    _life(control)
    before = len(_points(control))
    asked = _control(tmp_path / "asked")
    _life(asked)
    asked.run._add(6.05, "event", name="drained", detail={})
    assert len(_points(asked)) == before - 1
