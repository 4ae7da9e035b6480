"""Stands for a daemon that looks for work every 30 s, and waits up to 60 s for its LLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.plan.plan import Plan
from chaos.runner.resolve import Request, resolve

TARGET = """
target: slow
watcher: {start: ["{python}", daemon.py]}
work: {submit: {folder: in}, done: out/*, body: {id: "{id}"}, unit_s: 10}
poll_interval_s: 30
llm: {call_limit_s: 60}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "slow.yaml"
    path.write_text(TARGET)
    return resolve(Request("soak_c", target=str(path), faults=["llm_timeout"], seed=1))


def test_each_phase_and_each_fault_lasts_longer_than_a_look_and_the_work(plan: Plan) -> None:
    once_s = 30.0 + 10.0
    profile = plan.profile
    assert min(profile.baseline_s, profile.storm_s, profile.quiet_s) >= once_s
    assert plan.faults[0].params["hold"] >= once_s
    assert profile.drain_limit_s >= once_s
