"""A daemon of several programs: an orchestrator runs beside the Watcher, and may leak or die.

Stands for a Watcher whose draws are turned into requests by another process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.checks.finding import Finding
from chaos.faults.base import Fault, PlannedStack, noop_twin, parse_params
from chaos.faults.process.ended import WatcherKilled, WatcherRestarted
from chaos.faults.process.paused import WatcherPaused
from chaos.record.history import Event, FaultRecord, HistoryWriter, read_history
from chaos.record.open_run import OpenRun
from chaos.record.target import ServiceSpec, Target
from chaos.runner.judge import verdict_of
from chaos.runner.resolve import read_target
from chaos.stack.base import Stack
from chaos.stack.outages import Outages
from chaos.stack.process import LocalService, Surroundings
from chaos.triage.from_run import triage_run
from chaos.witness.process import ServiceProcess
from chaos.witness.service_exits import ServiceExits
from tests.checks.history_builder import PlantedRun, finding, judged_by
from tests.examples.cases import Case
from tests.examples.matrix import run, wrong
from tests.waiting import wait_for

NAME = "orchestrator"
LIMIT_S = 30.0
START_S, DEAD_S = 2.2, 60.0  # of the planted run
PROGRAM = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path("orchestrator.ready").write_text(str(time.time()))
print("orchestrator: ready", flush=True)
while not pathlib.Path("die").exists():
    time.sleep(0.02)
print("orchestrator: no cycle to work on")
sys.exit(3)
"""


def flat(t_s: float, done: int) -> float:
    return 7


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    """A healthy run of a daemon with an orchestrator."""
    run = PlantedRun(tmp_path / "run", cuts=())
    run.config["target"]["services"] = {NAME: {"start": ["orchestrator"]}}
    run.config["criteria"]["file_descriptors"] = {"tolerance": 5}
    of_service: dict[str, Callable[[float, int], float]] = {
        "pid": lambda t_s, done: 40,
        "rss_anon_bytes": lambda t_s, done: 20e6,
        "swap_bytes": lambda t_s, done: 0,
        **dict.fromkeys(("fds", "threads", "children"), flat),
    }
    run.signals |= {f"{NAME}.{key}": signal for key, signal in of_service.items()}
    return run


def test_flat_service_is_named_and_passes(planted: PlantedRun) -> None:
    found = judged_by(planted, "memory_growth")
    assert found.outcome == "pass"
    assert found.summary.endswith(f"; {NAME}: pass")


@pytest.mark.parametrize(
    ("check", "signal", "per_request", "cause"),
    [
        ("memory_growth", "rss_anon_bytes", 3e6, "memory_leak"),
        ("file_descriptors", "fds", 1, "descriptor_leak"),
        ("resource_growth", "threads", 1, "thread_leak"),
    ],
)
def test_growth_of_a_service_is_found_and_named(
    planted: PlantedRun, check: str, signal: str, per_request: float, cause: str
) -> None:
    planted.config["criteria"] = {check: planted.config["criteria"].get(check, {})}
    planted.signals[f"{NAME}.{signal}"] = lambda t_s, done: 30 + per_request * done
    with OpenRun(planted.write()) as opened:
        verdict = verdict_of(opened)
        causes = triage_run(opened, verdict).causes
    found = finding(verdict, check)
    assert found.outcome == "fail"
    assert NAME in found.summary
    assert [(one.name, one.owner) for one in causes] == [(cause, "product")]
    assert NAME in causes[0].summary


def test_service_without_samples_is_not_judged(planted: PlantedRun) -> None:
    planted.signals = {k: s for k, s in planted.signals.items() if not k.startswith(NAME)}
    found = judged_by(planted, "memory_growth")
    assert found.outcome == "pass" and NAME not in found.summary


def died(planted: PlantedRun) -> None:
    planted.add_event(
        DEAD_S,
        "service_exit",
        owner="product",
        severity="error",
        service=NAME,
        exit_code=3,
        output="orchestrator: no cycle to work on",
    )


def test_service_that_ends_by_itself_is_found_as_the_products(planted: PlantedRun) -> None:
    died(planted)
    with OpenRun(planted.write()) as opened:
        verdict = verdict_of(opened)
        found = {finding.check: finding for finding in verdict.findings}
        causes = triage_run(opened, verdict).causes
    assert found["stack_health"].outcome == "pass"
    alive: Finding = found["watcher_alive"]
    assert (alive.outcome, alive.owner) == ("fail", "product")
    assert f"{NAME} died 1 time" in alive.summary
    assert "exit_code 3" in alive.evidence[0].text
    assert "no cycle to work on" in alive.evidence[0].text
    assert [(cause.name, cause.owner) for cause in causes] == [("process_died", "product")]
    assert f"{NAME} ended by itself at 60.0 s (exit code 3)" in causes[0].summary


def test_end_of_a_service_that_a_fault_ends_is_intended(planted: PlantedRun) -> None:
    planted.schedule["items"].append({"fault_id": "f1", "name": "watcher_killed"})
    traits = {"group": "process", "affects_llm": False, "ends": [NAME]}
    for t_s, state, evidence in (
        (DEAD_S - 2, "armed", {"undo": {"service": NAME}, "traits": traits}),
        (DEAD_S - 1, "injected", {}),
        (DEAD_S + 4, "recovered", {}),
    ):
        planted.add_fault(t_s, "f1", state, evidence)
    died(planted)
    found = judged_by(planted, "watcher_alive")
    assert found.outcome == "pass"


# -- with real processes --------------------------------------------------------------------------


class Bench:
    """Stands for a stack: the orchestrator alone, as a real process."""

    daemon = True

    def __init__(self, workspace: Path) -> None:
        spec = ServiceSpec(start=[NAME], ready_file="orchestrator.ready")
        self.target: Target = replace(read_target("reference")[1], services={NAME: spec})
        self.workspace = workspace
        self.services = {
            NAME: LocalService(
                NAME,
                [sys.executable, "-S", "-c", PROGRAM],
                Surroundings(workspace, dict(os.environ)),
                workspace / f"{NAME}.log",
                ready_file=workspace / spec.ready_file,
                ready_limit_s=LIMIT_S,
                cancel=threading.Event(),
            )
        }

    def service(self, name: str) -> LocalService:
        return self.services[name]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    one.service(NAME).start()
    yield one
    one.service(NAME).kill()


def made(kind: type[Fault], name: str = NAME) -> Fault:
    return kind("f1", parse_params(kind, {"service": name}, place="test"))


@pytest.mark.parametrize("kind", [WatcherKilled, WatcherRestarted, WatcherPaused])
def test_process_faults_strike_a_service_and_heal_it(bench: Bench, kind: type[Fault]) -> None:
    stack, fault = cast(Stack, bench), made(kind)
    assert fault.available(stack) is None
    assert fault.traits()["ends"] == ([] if kind is WatcherPaused else [NAME])
    json.dumps(fault.undo_record(stack))
    fault.inject(stack)
    effect = fault.effect(stack, Deadline(LIMIT_S))
    assert effect.proven, effect.measured
    fault.recover(stack)
    after = fault.recovered(stack, Deadline(LIMIT_S))
    assert after.proven, after.measured
    assert NAME in after.measured["path_taken"]
    assert bench.service(NAME).alive()


@pytest.mark.parametrize("kind", [WatcherKilled, WatcherRestarted, WatcherPaused])
def test_noop_twin_of_a_service_proves_no_effect(bench: Bench, kind: type[Fault]) -> None:
    stack, fault = cast(Stack, bench), made(noop_twin(kind))
    fault.undo_record(stack)
    fault.inject(stack)
    assert not fault.effect(stack, Deadline(1.5)).proven


def test_service_that_the_target_lacks_is_refused_with_those_it_has(bench: Bench) -> None:
    planned = PlannedStack(
        bench.target,
        sandboxed=True,
        can_mount=True,
        daemon=True,
        injects=False,
        witnessed=False,
        gpu=False,
    )
    with pytest.raises(UsageError) as refused:
        made(WatcherKilled, "orchestrater").available_in(planned)
    assert "orchestrater" in refused.value.message
    assert "orchestrator, watcher" in str(refused.value.next_step)


def test_memory_descriptors_and_threads_of_a_service_are_sampled(bench: Bench) -> None:
    source = ServiceProcess(NAME, bench.service(NAME).pid, period_s=0.5, details_period_s=0.0)
    values: dict[str, Any] = {}
    source.read(values)
    assert values[f"{NAME}.pid"] == bench.service(NAME).pid()
    assert values[f"{NAME}.rss_anon_bytes"] > 1e6
    assert values[f"{NAME}.fds"] >= 3 and values[f"{NAME}.threads"] == 1
    assert f"{NAME}.cpu_s" in values
    source.close()


@pytest.mark.parametrize("expected", [False, True])
def test_end_of_a_service_is_recorded_once_with_its_last_lines(
    bench: Bench, tmp_path: Path, expected: bool
) -> None:
    """Not where a fault may have ended it."""
    outages, inspected = Outages(), list[str]()
    outages.begin([NAME] if expected else [])
    path = tmp_path / "history.jsonl"
    with closing(HistoryWriter(path, "r")) as history:
        exits = ServiceExits(bench.services, outages, history, inspected.append)
        exits.look()
        (bench.workspace / "die").touch()
        wait_for("its end", lambda: not bench.service(NAME).alive())
        exits.look()
        exits.look()
    found = [r for _, r in read_history(path) if isinstance(r, Event)]
    assert inspected == ([] if expected else [NAME])
    assert [event.owner for event in found] == ([] if expected else ["product"])
    for event in found:
        assert event.detail["service"] == NAME and event.detail["exit_code"] == 3
        assert event.detail["output"].endswith("no cycle to work on")


@pytest.mark.stack
@pytest.mark.slow(seconds=60)
def test_run_in_which_a_service_is_killed_is_judged_whole(tmp_path: Path) -> None:
    """examples/plan-grown has an orchestrator beside its Watcher."""
    case = Case("plan-grown", "soak_b", f"watcher_killed:service={NAME},hold=3s")
    done = run(case, tmp_path)
    assert not wrong(case, done), done.text
    states = {
        record.state: record.evidence
        for _, record in read_history(done.run().history)
        if isinstance(record, FaultRecord)
    }
    assert states["armed"]["traits"]["ends"] == [NAME]
    assert "ended by signal 9" in states["effect_proven"]["path_taken"]
    with OpenRun(done.run()) as opened:
        processes = f'select count(distinct "{NAME}.pid"), max("{NAME}.fds") > 2 from moments'
        assert opened.one(processes) == (2, True)
