"""A daemon that escalates: it sets its own halt flag, and then idles for ever.

Stands for a Watcher in which one escalated step writes the halt file. Afterwards its process
lives, its memory is flat, its log has no error, and nothing is worked off.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.record.open_run import OpenRun
from chaos.record.target import HaltSpec
from chaos.runner.judge import verdict_of
from chaos.triage.from_run import triage_run
from chaos.witness.files import HaltFlags
from tests.checks.history_builder import HALT_S, PlantedRun, judged_by
from tests.waiting import wait_for

HALTED_S = 120.0  # too late for the limit of a stall
Signal = Callable[[float, int], float]
DAEMON = """
import pathlib, time
while True:
    if pathlib.Path("request").exists():
        pathlib.Path("halt.flag").write_text("escalated")
    time.sleep(0.01)
"""


def flag(since_s: float, until_s: float = 1e9) -> Signal:
    return lambda t_s, done: float(since_s <= t_s < until_s)


def waits_for_ever(run: PlantedRun, from_s: float) -> None:
    """Nothing is decided any more, and the requests wait."""
    original = run._samples

    def samples() -> list[dict[str, object]]:
        made = original()
        last = max(r["values"]["decisions.lines"] for r in made if r["t_s"] < from_s)
        for record in made:
            if record["t_s"] >= from_s:
                record["values"] |= {"decisions.lines": last, "queue.pending": 3}
        return made

    run._samples = samples  # type: ignore[method-assign]


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    run = PlantedRun(tmp_path / "run", cuts=())
    run.config["criteria"] = {"stall": {"limit_s": 60}}
    run.signals["halt.flags"] = flag(1e9)
    return run


def test_daemon_that_halts_itself_while_work_waits_is_found(planted: PlantedRun) -> None:
    planted.signals["halt.flags"] = flag(HALTED_S)
    waits_for_ever(planted, HALTED_S)
    found = judged_by(planted, "stall")
    assert found.outcome == "fail"
    assert "halted itself at 120.2 s (watcher_halt.flag), 3 requests waited" in found.summary


def test_cause_is_a_stall_of_the_product(planted: PlantedRun) -> None:
    planted.signals["halt.flags"] = flag(HALTED_S)
    waits_for_ever(planted, HALTED_S)
    with OpenRun(planted.write()) as opened:
        causes = triage_run(opened, verdict_of(opened)).causes
    assert [(cause.name, cause.owner) for cause in causes] == [("stall", "product")]
    assert "halted itself" in causes[0].summary


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(flag(60.0, 90.0), id="it went on"),
        pytest.param(flag(HALT_S), id="the harness halted it"),
        pytest.param(flag(HALT_S - 1.0), id="just now"),
    ],
)
def test_flag_that_does_not_keep_work_waiting_is_none_of_it(
    planted: PlantedRun, signal: Signal
) -> None:
    planted.signals["halt.flags"] = signal
    waits_for_ever(planted, HALTED_S)
    assert judged_by(planted, "stall").outcome == "pass"


def test_daemon_that_works_on_beside_its_flag_has_not_halted(planted: PlantedRun) -> None:
    planted.signals["halt.flags"] = flag(100.0)
    assert judged_by(planted, "stall").outcome == "pass"


def test_idle_daemon_with_a_flag_and_without_work_is_left_alone(planted: PlantedRun) -> None:
    planted.signals |= {"halt.flags": flag(HALTED_S), "queue.pending": lambda t_s, done: 0}
    assert judged_by(planted, "stall").outcome == "pass"


def test_target_without_flags_accuses_nobody(planted: PlantedRun) -> None:
    planted.signals["halt.flags"] = flag(HALTED_S)
    planted.config["target"]["halt"] = None
    waits_for_ever(planted, HALTED_S)
    assert judged_by(planted, "stall").outcome == "pass"


def test_flag_that_a_fault_has_set_is_not_the_daemons(planted: PlantedRun) -> None:
    planted.signals["halt.flags"] = flag(HALTED_S)
    waits_for_ever(planted, HALTED_S)
    planted.schedule["items"].append({"fault_id": "f1", "name": "queue_halt_race"})
    for t_s, state, evidence in (
        (HALTED_S - 1, "armed", {"undo": {"flag": "watcher_halt.flag"}, "traits": {}}),
        (HALTED_S, "injected", {}),
        (HALTED_S + 1, "recovered", {}),
    ):
        planted.add_fault(t_s, "f1", state, evidence)
    assert judged_by(planted, "stall").outcome == "pass"


def test_flags_of_a_real_daemon_are_sampled(tmp_path: Path) -> None:
    """One in the workspace, one with an absolute path."""
    halt = HaltSpec(command=["halt"], flags=["halt.flag", str(tmp_path / "elsewhere")])
    source = HaltFlags(tmp_path, halt.flags)

    def seen() -> float:
        values: dict[str, float] = {}
        source.read(values)  # type: ignore[arg-type]
        return values["halt.flags"]

    with subprocess.Popen([sys.executable, "-S", "-c", DAEMON], cwd=tmp_path) as process:
        try:
            assert seen() == 0
            (tmp_path / "request").touch()
            wait_for("its flag", lambda: seen() == 1)
            (tmp_path / "elsewhere").touch()
            assert seen() == 2
        finally:
            process.kill()
