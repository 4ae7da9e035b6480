"""Each growing resource leads to its own cause; a resource that does not grow is ruled out, and one
without enough evidence stays unknown."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun
from chaos.runner.judge import verdict_of
from chaos.runner.resolve import read_target
from chaos.triage.from_run import facts_of, triage_run
from chaos.triage.from_workspace import triage_workspace
from chaos.triage.leak_rules import TEMP_ENDINGS
from chaos.triage.result import Triage
from chaos.triage.text import plain
from chaos.triage.triage import triage
from chaos.witness import temp_files
from tests.checks.history_builder import PlantedRun

Plant = Callable[[PlantedRun], None]
LEAKS = {"socket_leak", "descriptor_leak", "thread_leak", "children_left", "temp_files_left"}


@pytest.fixture
def watched(planted: PlantedRun) -> PlantedRun:
    """A healthy run with all checks of held resources."""
    planted.config["criteria"] |= {"file_descriptors": {"tolerance": 5}, "resource_growth": {}}
    return planted


def triaged(run: PlantedRun) -> Triage:
    view = OpenRun(run.write())
    return triage_run(view, verdict_of(view))


def causes(found: Triage) -> list[str]:
    return [cause.name for cause in found.causes]


def never_closed(run: PlantedRun) -> None:
    """A socket that the other side closed stays after each request; it is a descriptor, too."""
    healthy = run.signals["watcher.fds"]
    run.signals["watcher.sockets_close_wait"] = lambda t_s, done: done
    run.signals["watcher.fds"] = lambda t_s, done: healthy(t_s, done) + done


def never_pooled(run: PlantedRun) -> None:
    run.signals["watcher.sockets_established"] = lambda t_s, done: done


def file_kept_open(run: PlantedRun) -> None:
    healthy = run.signals["watcher.fds"]
    run.signals["watcher.fds"] = lambda t_s, done: healthy(t_s, done) + 2 * done


def both_kept_open(run: PlantedRun) -> None:
    """Some of the descriptors are sockets, most are not."""
    healthy = run.signals["watcher.fds"]
    run.signals["watcher.sockets_close_wait"] = lambda t_s, done: done
    run.signals["watcher.fds"] = lambda t_s, done: healthy(t_s, done) + 3 * done


def thread_per_request(run: PlantedRun) -> None:
    run.signals["watcher.threads"] = lambda t_s, done: 1 + done


def never_reaped(run: PlantedRun) -> None:
    run.signals["watcher.zombies"] = lambda t_s, done: done


def never_renamed(run: PlantedRun) -> None:
    run.signals["workspace.temp_files"] = lambda t_s, done: done


def threads_and_files(run: PlantedRun) -> None:
    thread_per_request(run)
    never_renamed(run)


@pytest.mark.parametrize(
    ("plant", "expected", "explained", "said"),
    [
        (never_closed, ["socket_leak"], {"resource_growth", "file_descriptors"}, "CLOSE_WAIT"),
        (never_pooled, ["socket_leak"], {"resource_growth"}, "old ones kept"),
        (file_kept_open, ["descriptor_leak"], {"file_descriptors"}, "descriptors 8 -> 62"),
        (
            both_kept_open,
            ["socket_leak", "descriptor_leak"],
            {"resource_growth", "file_descriptors"},
            "CLOSE_WAIT",
        ),
        (thread_per_request, ["thread_leak"], {"resource_growth"}, "threads"),
        (never_reaped, ["children_left"], {"resource_growth"}, "never waits for them"),
        (never_renamed, ["temp_files_left"], {"resource_growth"}, "neither renamed nor removed"),
        (threads_and_files, ["thread_leak", "temp_files_left"], {"resource_growth"}, "threads"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_leak_has_its_cause(
    plant: Plant, expected: list[str], explained: set[str], said: str, watched: PlantedRun
) -> None:
    plant(watched)
    found = triaged(watched)
    assert causes(found) == expected, plain(found)
    assert {check for cause in found.causes for check in cause.explains} == explained
    assert said in found.causes[0].summary
    ruled_out = {one.name for one in found.ruled_out}
    assert LEAKS - set(expected) <= ruled_out, "the others were followed, too"
    for cause in found.causes:
        assert cause.owner == "product" and cause.evidence
        assert cause.steps[0].command.startswith("grep -o")
        for step in cause.steps:
            for word in shlex.split(step.command):
                if word.startswith(str(watched.run.path.parent)):
                    assert Path(word).exists(), step.command


def test_a_healthy_run_rules_out_every_leak(watched: PlantedRun) -> None:
    found = triaged(watched)
    assert found.causes == []
    assert {one.name for one in found.ruled_out} >= LEAKS


def test_a_leak_shows_the_descriptors_by_kind_of_the_last_inspection(watched: PlantedRun) -> None:
    never_closed(watched)
    process = {"pid": 20, "role": "watcher", "descriptors": {"file": 4, "socket": 40}}
    watched.add_event(142.0, "inspection", why="the end", processes=[process])
    [cause] = triaged(watched).causes
    assert "4 file, 40 socket" in cause.evidence[-1].text
    assert cause.evidence[-1].ref.startswith("history.jsonl:")


def test_a_single_step_up_is_undecided_and_no_leak(watched: PlantedRun) -> None:
    watched.signals["watcher.threads"] = lambda t_s, done: 1 if t_s < 110 else 9
    watched.config["reproduce"] = "chaos run soak_c --seed 7 --set storm_s=85"
    watched.config["profile"]["storm_s"] = 85.0
    found = triaged(watched)
    assert causes(found) == []
    [undecided] = [one for one in found.undecided if one.name == "thread_leak"]
    assert [step.command for step in undecided.steps] == [
        "chaos run soak_c --seed 7 --set storm_s=85 --set storm_s=3600"
    ]


def test_a_failure_that_no_signal_shows_stays_unknown(watched: PlantedRun) -> None:
    """The finding exists, but not the samples that would name the cause."""
    for key in list(watched.signals):
        if key.startswith("watcher.") or key == "workspace.temp_files":
            del watched.signals[key]
    failed = Finding(outcome="fail", summary="rose", check="resource_growth", title="R")
    found = triage(facts_of(OpenRun(watched.write()), [failed]))
    assert causes(found) == ["unknown"]
    assert {one.name for one in found.undecided} >= LEAKS - {"children_left"}
    assert "a longer time" in found.causes[0].summary, "what would decide it"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"file": 4, "socket": 60}, ["socket_leak"]),
        ({"file": 60, "socket": 4}, ["descriptor_leak"]),
        ({"file": 20, "socket": 20}, []),
    ],
)
def test_one_snapshot_shows_a_live_watcher_near_its_descriptor_limit(
    kinds: dict[str, int], expected: list[str], tmp_path: Path
) -> None:
    process: dict[str, Any] = {"pid": os.getpid(), "role": "watcher", "state": "S", "threads": 1}
    process |= {"descriptors": kinds, "descriptor_limit": 64, "sockets": {}}
    found = triage_workspace(read_target("reference")[1], tmp_path, {"processes": [process]})
    assert [name for name in causes(found) if name in LEAKS] == expected
    if expected:
        assert found.causes[0].steps[0].command == f"ls -l /proc/{os.getpid()}/fd"
    else:
        assert {one.name for one in found.undecided} >= LEAKS


def test_the_listed_temp_files_are_those_that_the_sampler_counts() -> None:
    assert TEMP_ENDINGS == temp_files._ENDINGS
