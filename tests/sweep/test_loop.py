"""The runs of a sweep: on the system that was asked for, and none after an error."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.base.errors import ChaosError
from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir, create
from chaos.runner.child import Interrupts
from chaos.runner.resolve import Request, resolve
from chaos.sweep.loop import Loop, Made
from chaos.sweep.points import Point
from chaos.sweep.request import control
from chaos.sweep.state import Asked, begin

ASKED = Asked(
    target=None, work=("selfplay",), kinds=("crash",), errors=(), sample=None, chosen=(), seed=7
)
POINTS = [Point(n, "selfplay", "fsync", f"f{n}", 1, f"f{n}", "daemon", n / 10) for n in range(1, 6)]


def loop_of(folder: Path, asked: Asked) -> Loop:
    place, sweep = begin(asked, folder)
    sweep.points = POINTS
    return Loop(place, sweep, Interrupts(), 1, lambda _text: None, lambda _result: None)


def test_each_run_has_the_sandbox_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    def planned(request: Request) -> Plan:
        plans.append(resolve(request))
        raise ChaosError("the plan is enough")

    monkeypatch.setattr("chaos.sweep.loop.resolve", planned)
    loop = loop_of(tmp_path, msgspec.structs.replace(ASKED, sandbox="none"))
    with pytest.raises(ChaosError):
        loop._make(control(None, "selfplay", 7, "local"))
    loop.run()
    assert [plan.sandbox for plan in plans] == ["none"] * (1 + len(POINTS))


def test_after_an_error_no_further_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RunDir] = []

    def ended(_run: RunDir) -> None:
        raise ChaosError("what it left cannot be removed")

    def run(loop: Loop, _request: Request) -> Made:
        made.append(create(loop.folder.path, "sweep_point", 7))
        return Made(made[-1], 0, None)

    monkeypatch.setattr(Loop, "_make", run)
    loop = loop_of(tmp_path, ASKED)
    loop.ended = ended
    with pytest.raises(ChaosError, match="cannot be removed"):
        loop.run()
    assert len(made) == 1
    assert loop.folder.read().results == []
