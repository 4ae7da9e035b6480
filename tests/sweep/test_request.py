"""What a sweep asks of a run: plans that resolve, and clear errors for what makes no sense."""

from __future__ import annotations

import pytest

from chaos.base.errors import UsageError
from chaos.cli.main import main
from chaos.runner.resolve import resolve
from chaos.sweep.command import asked_of
from chaos.sweep.options import SweepOptions
from chaos.sweep.points import Point, masked
from chaos.sweep.request import Break, Kind, breaks, broken, checked_errors, checked_kinds

PATH = "watcher_requests/archive/sweep_piece.json"
POINT = Point(18, "selfplay", "rename", masked(PATH), 1, PATH, "daemon", 2.6)


@pytest.mark.parametrize(
    ("kind", "error", "fault", "params"),
    [
        ("crash", "", "syscall_crash", {"who": "any"}),
        ("crash_all", "", "syscall_crash", {"who": "all"}),
        ("error", "EROFS", "syscall_error", {"error": "EROFS", "times": 1, "may_end": "yes"}),
    ],
)
def test_each_break_is_one_fault_at_its_point(
    kind: Kind, error: str, fault: str, params: dict[str, object]
) -> None:
    plan = resolve(broken(None, Break(POINT, kind, error), 7, "local", 2.6))
    (planned,) = plan.faults
    assert planned.name == fault
    wanted = {"call": "rename", "path": PATH, "nth": 1, "until": "proof", **params}
    assert wanted.items() <= planned.params.items()
    assert plan.workload == "one_piece"
    assert plan.profile.settings["submit_at"] == "fault"


def test_a_sweep_goes_kind_by_kind_along_the_life_of_the_piece() -> None:
    found = breaks([POINT], ("crash", "error"), ("EIO", "ENOSPC"))
    assert [(one.point.number, one.column) for one in found] == [
        (18, "crash"),
        (18, "error EIO"),
        (18, "error ENOSPC"),
    ]


def test_kinds_and_errors_are_lists() -> None:
    assert checked_kinds("crash, error") == ("crash", "error")
    assert checked_errors(["eio,EROFS"]) == ("EIO", "EROFS")
    assert checked_errors([]) == ("EIO", "ENOSPC")
    with pytest.raises(UsageError):
        checked_kinds(" , ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--points", "some"], "--points: 'some' is neither"),
        (["--points", "0"], "--points"),
        (["--points", "3,x"], "--points: '3,x' is neither"),
        (["--kind", "cras"], "did you mean 'crash'"),
        (["--kind", "error", "--error", "EXX"], "--error: unknown error 'EXX'"),
        (["--work", "selfpay"], "did you mean 'selfplay'"),
        (["--jobs", "0"], "--jobs: out of range"),
        (["--seed", "-1"], "--seed"),
        (["--resume", "nothing"], "--resume: no sweep"),
        (["nothing.yaml"], "no such file"),
    ],
)
def test_wrong_usage_is_an_error_with_its_place(
    words: list[str], text: str, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", *words, "--runs", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert text in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("points", "point", "sample", "chosen"),
    [
        ("all", (), None, ()),
        ("12", (), 12, ()),
        ("17,3", (), None, (3, 17)),
        ("3,17", (5,), None, (3, 5, 17)),
    ],
)
def test_points_are_all_a_sample_or_a_list(
    points: str, point: tuple[int, ...], sample: int | None, chosen: tuple[int, ...]
) -> None:
    asked = asked_of(SweepOptions(points=points, point=point))
    assert (asked.sample, asked.chosen) == (sample, chosen)
