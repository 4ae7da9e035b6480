"""The kinds that change system calls, on a tiny daemon under the real witness."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.base.yamlfile import load
from chaos.faults.base import Evidence, Fault, noop_twin, parse_params
from chaos.faults.params import Value
from chaos.faults.registry import kinds_of
from chaos.faults.syscall.changed import SyscallError, SyscallSlow
from chaos.faults.syscall.crash import SyscallCrash
from chaos.faults.syscall.last_words import naming
from chaos.faults.syscall.rule import CallFault
from chaos.record.target import Target
from chaos.stack.base import CallRules, Stack
from chaos.stack.call_rules import WitnessProblem
from chaos.stack.process import LocalService, Surroundings
from chaos.stack.witness import SystemCallWitness
from tests.stack.local_witness import local_witness
from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[2]
DAEMON = Path(__file__).with_name("tiny_daemon.py")
LIMIT_S = 30.0
LOG = {"call": "open", "path": "logs/*"}  # what the tiny daemon does all the time


class Bench:
    """Stands for a stack: the tiny daemon, watched by the real witness."""

    daemon = True

    def __init__(self, workspace: Path, witness: SystemCallWitness) -> None:
        self.target = load(REPO / "experiments/targets/reference.yaml", Target)
        self.workspace = workspace
        self.record = workspace.parent / "witness.jsonl"
        self.calls: CallRules | None = witness.rules
        self.not_witnessed: dict[str, str] = {}
        where = witness.watched(Surroundings(workspace, dict(os.environ)), "watcher")
        self.watcher = LocalService(
            "watcher",
            [sys.executable, "-S", str(DAEMON), "watcher"],
            where,
            workspace / "watcher.out",
            ready_file=workspace / "watcher_status.json",
            ready_limit_s=LIMIT_S,
        )

    def service(self, name: str) -> LocalService:
        assert name == "watcher"
        return self.watcher

    def changed(self) -> list[dict[str, Any]]:
        """The lines of the record that say that a rule changed a call."""
        lines = [json.loads(line) for line in self.record.read_text().splitlines()]
        return [line for line in lines if "rule" in line]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    witness = local_witness(tmp_path, workspace, Surroundings(tmp_path, dict(os.environ)))
    witness.service.start()
    one = Bench(workspace, witness)
    yield one
    one.watcher.kill()
    witness.service.stop(5.0)


@pytest.fixture
def running(bench: Bench) -> Bench:
    bench.watcher.start()
    return bench


def make(kind: type[Fault], **raw: Any) -> CallFault:
    values = parse_params(kind, cast("dict[str, Value]", raw), place="test")
    return cast(CallFault, kind("f001", values))


def broken(fault: CallFault, bench: Bench, limit_s: float = LIMIT_S) -> Evidence:
    stack = cast(Stack, bench)
    assert fault.available(stack) is None
    json.dumps(fault.undo_record(stack))
    fault.inject(stack)
    return fault.effect(stack, Deadline(limit_s))


def healed(fault: CallFault, bench: Bench, limit_s: float = LIMIT_S) -> Evidence:
    stack = cast(Stack, bench)
    fault.recover(stack)
    fault.recover(stack)  # twice: idempotent
    return fault.recovered(stack, Deadline(limit_s))


KINDS: dict[type[Fault], dict[str, Any]] = {
    SyscallError: {**LOG, "error": "ENOSPC", "nth": 2},
    SyscallSlow: {**LOG, "delay_ms": 100},
    SyscallCrash: {**LOG, "nth": 3},
}


def test_every_kind_of_the_group_is_tested_here() -> None:
    assert set(KINDS) == set(kinds_of("syscall"))


@pytest.mark.parametrize("kind", KINDS)
def test_effect_and_recovery_are_proven(running: Bench, kind: type[Fault]) -> None:
    fault = make(kind, **KINDS[kind])
    effect = broken(fault, running)
    assert effect.proven and effect.measured["calls_changed"] >= 1, effect.measured
    after = healed(fault, running)
    assert after.proven and after.measured["rules_left"] == 0, after.measured
    assert running.watcher.alive()
    lines = wait_for("the record", running.changed)
    assert len(lines) == after.measured["calls_changed"]
    assert {line["rule"] for line in lines} == {"f001"}


@pytest.mark.parametrize("kind", KINDS)
def test_noop_twin_proves_no_effect(running: Bench, kind: type[Fault]) -> None:
    fault = make(noop_twin(kind), **KINDS[kind])
    assert not broken(fault, running, limit_s=1.5).proven
    assert healed(fault, running).proven
    assert running.changed() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_whose_calls_never_come_is_unproven_and_says_so(
    running: Bench, kind: type[Fault]
) -> None:
    fault = make(kind, call="link")
    effect = broken(fault, running, limit_s=2.5)
    assert not effect.proven
    assert effect.measured["reason"] == "the Watcher made no link call that matches '*'"
    assert healed(fault, running).proven
    assert running.changed() == []


def test_a_daemon_that_ends_by_a_failed_call_is_not_recovered(bench: Bench) -> None:
    (bench.workspace / "tiny.json").write_text('{"fragile": true}')
    bench.watcher.start()
    fault = make(SyscallError, **LOG, nth=1)
    assert broken(fault, bench).proven
    wait_for("its end", lambda: not bench.watcher.alive())
    after = healed(fault, bench)
    assert not after.proven
    assert after.measured["did_not_return"] == "exit code 1"


@pytest.mark.parametrize(
    ("fragile", "code", "said"),
    [
        (True, 1, "OSError: [Errno 5] Input/output error: 'logs/watcher_agent.log'"),
        ("silent", 3, ""),
    ],
)
def test_a_daemon_that_may_end_at_the_error_is_started_again_and_its_words_are_kept(
    bench: Bench, fragile: bool | str, code: int, said: str
) -> None:
    options = bench.workspace / "tiny.json"
    options.write_text(json.dumps({"fragile": fragile}))
    bench.watcher.start()
    fault = make(SyscallError, **LOG, nth=1, times=1, may_end="yes")
    assert fault.traits()["ends"] == ["watcher"]
    first = bench.watcher.pid()
    assert broken(fault, bench).proven
    assert not bench.watcher.alive()
    after = healed(fault, bench)
    assert after.proven and bench.watcher.pid() != first, after.measured
    assert (after.measured["exit_code"], after.measured["said"]) == (code, said)
    assert after.measured["last_words"] == said


def test_a_daemon_that_lives_through_the_error_is_left_alone(running: Bench) -> None:
    fault = make(SyscallError, **LOG, nth=1, times=1, may_end="yes")
    assert broken(fault, running).proven
    after = healed(fault, running)
    assert after.proven and after.measured["same"] and "said" not in after.measured


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("cannot go on: [Errno 28] No space left on device", True),
        ("Error: ENOSPC: no space left on device, fsync", True),
        ("errno=28", True),
        ("sqlite3.OperationalError: database or disk is full", True),
        ("disk I/O error", True),  # SQLite's word for whatever fails
        ("out/a.json was not written", True),
        ("the folder out is full of files", False),  # the name of a folder is a plain word
        ("about/out/a.json.part", False),
        ("errno 281", False),
        ("fatal: something went wrong", False),
        ("", False),
    ],
)
def test_a_line_names_the_error_or_the_path(line: str, named: bool) -> None:
    lines = ["working on b.json", line]
    assert naming(lines, "ENOSPC", ["out/a.json", "out"]) == (line if named else "")


def test_a_crash_comes_before_the_call_and_only_in_the_daemon_itself(bench: Bench) -> None:
    """The request is still where it was."""
    (bench.workspace / "tiny.json").write_text('{"work": 0.1}')
    bench.watcher.start()
    fault = make(SyscallCrash, call="rename", path="*/archive/*")
    stack = cast(Stack, bench)
    fault.undo_record(stack)
    fault.inject(stack)
    (bench.workspace / "watcher_requests/r1.json").write_text("{}")
    effect = fault.effect(stack, Deadline(LIMIT_S))
    assert effect.proven, effect.measured
    assert effect.measured["path_taken"].endswith("ended by signal 9 at its rename call")
    assert (bench.workspace / "watcher_requests/claimed/r1.json").exists()
    assert healed(fault, bench).proven
    archived = bench.workspace / "watcher_requests/archive/r1.json"
    wait_for("the request to be worked again", archived.exists)


def test_without_a_witness_the_kinds_are_unavailable_and_say_why(running: Bench) -> None:
    running.calls = None
    for kind in KINDS:
        fault = make(kind)
        reason = fault.available(cast(Stack, running))
        assert reason == "system calls are not witnessed: this run has no witness (--witness all)"
        running.not_witnessed = {"syscalls": "the kernel does not load the filter"}
        reason = fault.available(cast(Stack, running))
        assert reason == "system calls are not witnessed: the kernel does not load the filter"
        running.not_witnessed = {}
        with pytest.raises(WitnessProblem):
            fault.recover(cast(Stack, running))


def test_without_a_daemon_the_kinds_are_unavailable(running: Bench) -> None:
    running.daemon = False
    for kind in KINDS:
        reason = make(kind).available(cast(Stack, running))
        assert reason is not None and "profile with the daemon" in reason


@pytest.mark.parametrize(
    ("kind", "raw", "words"),
    [
        (SyscallError, {"call": "read"}, "unknown value 'read'"),
        (SyscallError, {"call": "exit"}, "unknown value 'exit'"),
        (SyscallError, {"error": "ENOSPCE"}, "unknown error 'ENOSPCE'"),
        (SyscallError, {"rate": "1.5"}, "1.5 is out of range"),
        (SyscallError, {"rate": "0"}, "0 is out of range"),
        (SyscallError, {"nth": "-1"}, "-1 is out of range"),
        (SyscallError, {"nth": "often"}, "'often' is not a whole number"),
        (SyscallSlow, {"delay_ms": "0"}, "0 is out of range"),
        (SyscallSlow, {"error": "EIO"}, "unknown parameter of syscall_slow 'error'"),
        (SyscallCrash, {"nth": "0"}, "0 is out of range"),
        (SyscallCrash, {"hold": "1s"}, "1 is out of range"),
    ],
)
def test_bad_parameters_are_refused(kind: type[Fault], raw: dict[str, Value], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_params(kind, raw, place="--fault")
    assert "--fault" in str(caught.value.place)


def test_error_names_are_read_in_any_case() -> None:
    assert parse_params(SyscallError, {"error": "enospc"}, place="test")["error"] == "ENOSPC"


def test_only_failed_connections_make_decisions_without_the_llm_legal() -> None:
    for kind in KINDS:
        assert make(kind).traits()["affects_llm"] is False
        assert make(kind, call="connect").traits()["affects_llm"] is True
