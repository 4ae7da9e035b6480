"""A daemon that starts its LLM server: two at once are seen by the system-call witness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.runner.judge import verdict_of
from tests.records import unpacked

SERVER = ["llama-server", "--port", "8081"]
# From the first start of a server: (pid, parent, from_s, to_s, command line).
Life = tuple[int, int, float, float, list[str]]
ONE_AFTER_ANOTHER: list[Life] = [(21, 5, -1, 20, SERVER), (22, 5, 20.1, 40, SERVER)]
WORKER: Life = (23, 21, 0, 20, SERVER)  # a child of the first
SECOND: Life = (24, 5, 10, 19, SERVER)
OTHER: Life = (25, 5, 10, 19, ["python", "child.py"])


def judged(folder: Path, lives: list[Life], *, witness: str = "all") -> Finding:
    """A recorded run with such processes of the daemon; the first of them listened."""
    run = unpacked("soak_c_watcher_restarted", folder)
    config = json.loads(run.config.read_text())
    config["witness"] = witness
    config["target"]["llm"]["server"] = "daemon"
    run.config.write_text(json.dumps(config))
    events = run.artefacts / config["target"]["llm"]["events"]
    start = json.loads(events.read_text().partition("\n")[0])
    events.write_text(json.dumps({**start, "pid": lives[0][0]}) + "\n")
    lines = [line for life in lives for line in _witnessed(start["time_s"], *life)]
    lines.sort(key=lambda line: line["time_s"])
    run.witness.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return _finding(run)


def _witnessed(
    at_s: float, pid: int, parent: int, from_s: float, to_s: float, argv: list[str]
) -> list[dict[str, Any]]:
    who = {"pid": pid, "parent": parent, "service": "watcher", "start_ticks": pid}
    return [
        {"time_s": at_s + from_s, "call": "process", **who, "argv": ["sh"]},
        {"time_s": at_s + from_s, "call": "exec", "pid": pid, "argv": argv},
        {"time_s": at_s + to_s, "call": "end", "pid": pid, "cpu_s": 1.0},
    ]


def _finding(run: RunDir) -> Finding:
    with OpenRun(run) as opened:
        return next(f for f in verdict_of(opened).findings if f.check == "llm_lifecycle")


def test_servers_one_after_another_pass_with_what_is_not_judged(tmp_path: Path) -> None:
    finding = judged(tmp_path, [*ONE_AFTER_ANOTHER, WORKER, OTHER])
    assert finding.outcome == "pass", finding
    assert "stops and cycles not judged: the daemon starts its server" in finding.summary


def test_a_second_server_beside_the_first_fails(tmp_path: Path) -> None:
    finding = judged(tmp_path, [*ONE_AFTER_ANOTHER, WORKER, SECOND])
    assert finding.outcome == "fail"
    assert [e.text.partition(": ")[2] for e in finding.evidence] == [
        "the daemon started server 24 while 21 ran"
    ]


@pytest.mark.parametrize("witness", ["none", "all"])
def test_without_the_witness_it_is_not_judged(witness: str, tmp_path: Path) -> None:
    run = unpacked("soak_c_watcher_restarted", tmp_path)
    config = json.loads(run.config.read_text())
    config["witness"] = witness
    config["target"]["llm"]["server"] = "daemon"
    run.config.write_text(json.dumps(config))
    finding = _finding(run)
    assert finding.outcome == "unverified"
    assert "witnessed" in finding.summary
