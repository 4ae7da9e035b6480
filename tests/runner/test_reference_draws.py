"""The reference command for the draws: run at the end, and whatever goes wrong accuses nobody."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from chaos.record.draws import Draws, Generator
from chaos.record.history import Event, HistoryWriter, read_history
from chaos.record.rundir import RunDir
from chaos.record.target import Record, Records
from chaos.runner.reference_draws import recompute
from chaos.runner.resolve import read_target
from chaos.stack.base import CommandResult, Stack
from chaos.stack.process import Surroundings, run_command

PRINTS = "import sys; [print(int(sys.argv[1]) + n) for n in range(int(sys.argv[2]))]"


class Commands:
    """Stands for the stack: runs a command in the workspace, outside of any sandbox."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        return run_command(
            argv, Surroundings(self.workspace, {"PATH": os.environ["PATH"]}), limit_s
        )


def asked(folder: Path, draws: Draws, history: Any = None) -> tuple[dict[str, Any], RunDir]:
    """What was recorded of the command, and the run."""
    run = RunDir(folder / "run")
    run.artefacts.mkdir(parents=True)
    if history is not None:
        (run.artefacts / "h.json").write_text(json.dumps(history))
    (folder / "workspace").mkdir()
    records = Records(draws=Record(sql="select v as value from json('h.json', 'of')"))
    target = replace(read_target("reference")[1], draws=draws, records=records)
    written = HistoryWriter(run.history, "r")
    recompute(cast(Stack, Commands(folder / "workspace")), target, run, written)
    written.close()
    events = [record for _, record in read_history(run.history) if isinstance(record, Event)]
    return (events[0].detail if events else {}), run


def by_command(*words: str, **more: Any) -> Draws:
    return Draws(generator=Generator(command=list(words), **more), seed=7)


def test_the_command_prints_as_many_draws_as_there_are_and_some_more(tmp_path: Path) -> None:
    draws = by_command(sys.executable, "-c", PRINTS, "{seed}", "{count}")
    detail, run = asked(tmp_path, draws, {"of": [{"v": 7}, {"v": 8}]})
    assert detail["count"] == 1002 and "problem" not in detail
    lines = run.expected_draws.read_text().splitlines()
    assert lines[:3] == ["7", "8", "9"] and len(lines) == 1002


@pytest.mark.parametrize(
    ("words", "limit_s", "why"),
    [
        ([sys.executable, "-c", "raise SystemExit('no such seed')"], 60.0, "exit code 1: no such"),
        ([sys.executable, "-c", "while True: pass"], 0.5, "took more than 0.5 s"),
        (["no-such-program"], 60.0, "exit code 127"),
    ],
)
def test_what_goes_wrong_with_the_command_is_recorded(
    tmp_path: Path, words: list[str], limit_s: float, why: str
) -> None:
    detail, run = asked(tmp_path, by_command(*words, limit_s=limit_s))
    assert why in detail["problem"]
    assert not run.expected_draws.exists()


def test_nothing_is_run_without_a_command(tmp_path: Path) -> None:
    assert asked(tmp_path, Draws(generator="java_lcg", seed=1, modulus=2))[0] == {}
