"""The system-call witness as a part of a stack."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from chaos.stack.base import CommandResult
from chaos.stack.process import Surroundings, run_command
from chaos.stack.witness import SystemCallWitness
from tests.stack.local_witness import local_witness
from tests.waiting import wait_for


@pytest.fixture
def where(tmp_path: Path) -> Surroundings:
    return Surroundings(tmp_path, {"PATH": os.environ["PATH"]})


@pytest.fixture
def witness(tmp_path: Path, where: Surroundings) -> Iterator[SystemCallWitness]:
    """Started; it writes `witness.jsonl`."""
    made = local_witness(tmp_path, tmp_path, where)
    made.service.start()
    yield made
    made.service.stop(5.0)


def test_a_program_started_through_it_is_seen_and_behaves_as_without(
    witness: SystemCallWitness, where: Surroundings, tmp_path: Path
) -> None:
    assert witness.problem(lambda argv, limit_s: run_command(argv, where, limit_s)) == ""
    done = run_command(
        ["sh", "-c", "echo $$ > made; mv made moved; exit 3"], witness.watched(where, "it"), 30.0
    )
    assert done.exit_code == 3
    pid = (tmp_path / "moved").read_text().strip()
    record = tmp_path / "witness.jsonl"
    lines = wait_for(
        "the record", lambda: [line for line in record.read_text().splitlines() if "moved" in line]
    )
    assert any('"to": "moved"' in line for line in lines)
    ended = f'"call": "exit", "pid": {pid}, "code": 3'
    wait_for("its exit in the record", lambda: ended in record.read_text())


def test_a_missing_program_is_named_as_without(
    witness: SystemCallWitness, where: Surroundings
) -> None:
    with pytest.raises(Exception, match="there is no program 'no-such-program'"):
        run_command(["no-such-program"], witness.watched(where, "it"), 30.0)


def test_a_dead_supervisor_is_a_problem_and_starts_nothing(
    witness: SystemCallWitness, where: Surroundings, tmp_path: Path
) -> None:
    witness.service.kill()
    problem = witness.problem(lambda argv, limit_s: run_command(argv, where, limit_s))
    assert "cannot be watched" in problem
    done = run_command(["touch", "made"], witness.watched(where, "it"), 30.0)
    assert done.exit_code == 125
    assert not (tmp_path / "made").exists()


def test_unreadable_memory_is_a_problem(witness: SystemCallWitness, tmp_path: Path) -> None:
    """As where Yama forbids it: the program runs, and nothing is known of its calls."""
    record = tmp_path / "witness.jsonl"

    def run(argv: Sequence[str], limit_s: float) -> CommandResult:
        noted = [
            {"call": "enter", "pid": 7, "service": "probe"},
            {"call": "exec", "pid": 7, "unread": "[Errno 13] Permission denied"},
        ]
        with record.open("a") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in noted)
        return CommandResult(tuple(argv), 0, "", 0.0)

    assert "cannot be read: [Errno 13]" in witness.problem(run)
