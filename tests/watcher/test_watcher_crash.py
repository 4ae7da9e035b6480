"""kill -9 at any moment neither loses a request nor processes it twice."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import wire_stand_in as stand
from agents import publish
from agents.daemon import Watcher
from loguru import logger
from watcher_lab import Lab
from wire_stand_in import StandIn

from tests.waiting import wait_for

KINDS = {f"r{number:02d}.json": ("selfplay", "learning_loop")[number % 2] for number in range(12)}
LEARNING_RUNS = sum(kind == "learning_loop" for kind in KINDS.values())


def assert_exactly_once(lab: Lab, names: list[str], learning_runs: int) -> None:
    """Each request is archived, decided and published once, and no half-done work remains."""
    assert lab.archived() == sorted(names)
    decisions = lab.decisions()
    assert Counter(d["request_file"] for d in decisions) == Counter(names)
    assert {d["status"] for d in decisions} == {"COMPLETED"}
    for key in ("decision_id", "sequence_number"):
        assert len({d[key] for d in decisions}) == len(names)
    if learning_runs:
        # Each published run raises the count by one.
        assert lab.json("telemetry/learning_health_latest.json")["total_models"] == learning_runs
        assert len(list((lab.root / "models").glob("model_*.json"))) == learning_runs
    assert lab.names() == lab.names("claimed") == lab.quarantined() == []
    assert lab.halt() == 0
    assert not list((lab.root / "work").iterdir())
    assert not list(lab.root.rglob(".*.tmp"))


@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.whole_run)])
def test_kills_at_random_moments_keep_exactly_once(lab: Lab, seed: int) -> None:
    """Twelve requests; the daemon is killed, at least 10 times, until all are done."""
    dice = random.Random(seed)
    for name, kind in KINDS.items():
        lab.submit(name, kind)
    kills = 0
    while len(lab.archived()) < len(KINDS) or kills < 10:
        lab.spawn()
        if dice.random() < 0.7:
            wait_for("ready", lambda: lab.state() or lab.ended())
        time.sleep(dice.uniform(0, 0.4))  # the moment is the experiment, not a wait
        assert not lab.ended(), lab.output()
        lab.kill()
        kills += 1
        (lab.root / "watcher_status.json").unlink(missing_ok=True)
        assert kills < 300
    lab.start()
    assert_exactly_once(lab, list(KINDS), LEARNING_RUNS)
    lab.assert_no_trouble()


@pytest.mark.parametrize("moment", ["plan", "dispatch", "evaluation"])
def test_a_request_is_repeated_after_a_kill_before_its_commit(
    lab: Lab, wire: StandIn, moment: str
) -> None:
    """The request is processed once, and the LLM server runs again."""
    script: dict[str, list[stand.Behaviour]] = {
        "plan": [stand.hang],
        "dispatch": [],
        "evaluation": [stand.good, stand.hang],
    }
    wire.script.extend(script[moment])
    lab.submit("slow.json" if moment == "dispatch" else "a.json", "learning_loop")
    lab.start()
    if moment == "dispatch":
        wait_for("child", lambda: (lab.root / "dispatched.txt").exists())
        assert not wire.running
    else:
        wait_for(moment, lambda: len(wire.asked) == len(script[moment]))
    lab.kill()
    if moment == "dispatch":  # without "slow" in its name the repetition is fast
        folder = lab.root / "watcher_requests"
        (folder / "claimed" / "slow.json").rename(folder / "a.json")
    lab.start()
    lab.decision("a.json")
    assert_exactly_once(lab, ["a.json"], 1)
    assert wire.running
    lab.assert_no_trouble()


@pytest.mark.parametrize("left", ["stopped", "loading"])
def test_a_restart_waits_for_the_llm_before_the_first_decision(
    lab: Lab, wire: StandIn, left: str
) -> None:
    """A kill during a dispatch leaves the server stopped or loading. The next daemon waits for it,
    so even with a single attempt the first decision is not a fallback.
    """
    lab.set_policies(max_attempts=1)
    wire.running, wire.still_loading = left != "stopped", left == "loading"
    lab.submit("a.json", "selfplay")
    lab.start()
    if left == "loading":
        wait_for("a look at the server", lambda: wire.looks >= 3)
        assert not wire.asked
        wire.still_loading = False
    assert lab.decision("a.json")["decided_by"] == "llm"
    assert wire.running


class Crash(BaseException):
    """Stands for a power cut: no handler of the agent catches it."""


@pytest.mark.slow
def test_a_crash_at_any_fsync_keeps_exactly_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power fails at the 1st, 2nd, 3rd … fsync; after a restart each request was done once.

    Runs in this process, because a kill from outside cannot choose the step.
    """
    monkeypatch.chdir(lab.root)
    monkeypatch.setenv("PYTHONPATH", ".")
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    steps, crashed = 0, True
    while crashed:
        steps += 1
        reset_workspace(lab)
        lab.submit("a.json", "learning_loop")
        lab.put("b.json", b"[]")
        crashed = crash_at(lab.root, steps, monkeypatch)
        work_off(lab.root)
        assert lab.quarantined() == ["b.json"]
        decisions = lab.decisions()
        files = [d["request_file"] for d in decisions]
        assert sorted(files) == ["a.json", "b.json"], f"step {steps}"
        assert len({d["decision_id"] for d in decisions}) == 2
        assert lab.archived() == ["a.json"] and not lab.names() and not lab.names("claimed")
        assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 1
        assert lab.json("prediction_pool.json")["for"] == "a.json"
    logger.remove()
    assert steps > 15


def reset_workspace(lab: Lab) -> None:
    """Empties the workspace, except for programs and policies."""
    for path in lab.root.iterdir():
        if path.name not in ("agents", "pipeline", "watcher_policies.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def crash_at(root: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Works until the fsync number `step`. True if there was one."""
    count = 0
    real = os.fsync

    def failing(handle: int) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise Crash
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        try:
            work_off(root)
        except Crash:
            return True
    return False


def work_off(root: Path) -> Any:
    """Starts like the daemon, and empties the queue."""
    watcher = Watcher(root)
    watcher._prepare()
    while watcher.process_one() or watcher.queue.pending_names():
        pass
    return watcher


def test_names_of_artefacts_are_durable_before_the_commit_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the marker must not undo the renames by which the child published."""
    folder = tmp_path / "work" / "a" / "policy_history"
    folder.mkdir(parents=True)
    (folder / "cand_a.json").write_text("{}")
    real, synced = os.fsync, []

    def fsync(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    publish.commit(folder.parent, {"effects": {}}, publish=True)
    marker = next(n for n, name in enumerate(synced) if "commit.json" in name)
    assert synced[:marker] == ["cand_a.json", "policy_history"]
