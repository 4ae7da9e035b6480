"""The gate's loop: the order of its runs, interrupts at every step, resuming, and leftovers."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.exitcode import ExitCode
from chaos.gate import leftovers
from chaos.gate.state import GateDir, GateState
from chaos.gate.steps import Step
from chaos.record.owner import RUN_ID_VARIABLE, processes_of
from chaos.record.rundir import RunDir
from chaos.runner.child import Interrupts
from chaos.runner.clean import clean
from tests.gate.standin import Bench, Killed, ScriptedRunner
from tests.waiting import wait_for

STEPS = [
    "soak_b clean",
    "soak_b under llm_timeout",
    "soak_c clean",
    "soak_c under llm_timeout",
]


def test_every_soak_runs_clean_before_it_runs_under_faults(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ScriptedRunner()
    assert bench.begin(runner) == ExitCode.PASS
    assert runner.made == STEPS
    out = capsys.readouterr().out
    assert out.startswith("gate: 4 runs, about ")
    assert "gate 4/4: soak_c under llm_timeout, about" in out
    assert "PRODUCTION-READY  all 4 runs pass at the scale 'quick'" in out
    state = bench.state()
    assert state.state == "complete"
    assert state.verdict is not None and state.verdict.verdict == "PRODUCTION-READY"
    for item in state.steps:
        run = bench.folder.run(item)
        assert run is not None
        config = run.read_json(run.config)
        assert config["seed"] == 7
        assert [f["control"] for f in config["faults"]] == [item.control]
        assert f"chaos run {item.soak} --profile quick --fault" in item.command


@pytest.mark.slow(seconds=50)
def test_a_kill_at_any_moment_keeps_finished_runs_and_repeats_only_the_unfinished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL before and after every write of the state, and at begin and end of every run.

    A first gate counts these moments. Then a gate is killed at each of them, and resumed.
    """
    count, limit = 0, sys.maxsize
    write = GateDir.write

    def moment() -> None:
        nonlocal count
        count += 1
        if count == limit:
            raise Killed

    def killable_write(self: GateDir, state: GateState) -> None:
        moment()
        write(self, state)
        moment()

    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        moment()

    monkeypatch.setattr(GateDir, "write", killable_write)
    monkeypatch.setattr(leftovers, "find", lambda _run: [])  # slow: reads all of /proc
    complete = Bench(_folder(tmp_path, 0))
    assert complete.begin(ScriptedRunner(hook=hook)) == ExitCode.PASS
    moments = count
    assert moments > 4 * len(STEPS)
    for at in range(3, moments + 1):  # before the third moment there is no gate to resume
        bench = Bench(_folder(tmp_path, at))
        count, limit = 0, at
        first = ScriptedRunner(hook=hook)
        with pytest.raises(Killed):
            bench.begin(first)
        finished = [item.name for item in bench.state().steps if item.state == "done"]
        limit = sys.maxsize
        second = ScriptedRunner(hook=hook)
        assert bench.resume(second) == ExitCode.PASS, at
        assert not set(finished) & set(second.made), at
        assert set(first.made) | set(second.made) == set(STEPS), at
        assert len(first.made) + len(second.made) <= len(STEPS) + 1, at
        state = bench.state()
        assert [item.state for item in state.steps] == ["done"] * len(STEPS), at
        assert len({item.run for item in state.steps}) == len(STEPS), at


def _folder(root: Path, number: int) -> Path:
    path = root / str(number)
    path.mkdir()
    return path


@pytest.mark.parametrize("at", STEPS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_finished_runs_and_prints_the_command_to_resume(
    at: str, number: int, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        if what == "begin" and step.name == at:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    first = ScriptedRunner(hook=hook)
    assert bench.begin(first) == ExitCode.INTERRUPTED
    assert signal.getsignal(number) == before
    assert "go on with: chaos gate --resume" in capsys.readouterr().err
    assert bench.state().state == "interrupted"
    assert not bench.folder.changelog.exists()
    second = ScriptedRunner()
    assert bench.resume(second) == ExitCode.PASS
    assert second.made == STEPS[STEPS.index(at) :]
    assert "made again" in "".join(bench.state().steps[STEPS.index(at)].notes)


def test_a_run_that_is_complete_when_the_signal_arrives_is_kept(bench: Bench) -> None:
    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        if what == "end" and step.name == STEPS[0]:
            interrupts.event.set()

    assert bench.begin(ScriptedRunner(hook=hook)) == ExitCode.INTERRUPTED
    second = ScriptedRunner()
    assert bench.resume(second) == ExitCode.PASS
    assert second.made == STEPS[1:]


def test_a_run_that_alone_is_interrupted_is_repeated(bench: Bench) -> None:
    """The run gets the signal and the gate does not. The gate ends, and can be resumed."""

    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        if what == "end" and step.name == STEPS[2]:
            run.verdict.write_text(run.verdict.read_text().replace('"complete"', '"interrupt"'))

    assert bench.begin(ScriptedRunner(hook=hook)) == ExitCode.INTERRUPTED
    second = ScriptedRunner()
    assert bench.resume(second) == ExitCode.PASS
    assert second.made == STEPS[2:]


def test_clean_includes_the_runs_of_gates(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.begin(ScriptedRunner())
    capsys.readouterr()
    assert clean(None, bench.runs) == ExitCode.PASS
    assert "4 run(s) looked at" in capsys.readouterr().out


def test_resuming_a_finished_gate_repeats_its_verdict_and_runs_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.begin(ScriptedRunner({STEPS[3]: "fail"})) == ExitCode.FAIL
    before = bench.folder.changelog.read_text(), bench.folder.junit.read_text()
    runner = ScriptedRunner()
    assert bench.resume(runner) == ExitCode.FAIL
    assert runner.made == []
    assert (bench.folder.changelog.read_text(), bench.folder.junit.read_text()) == before


def test_a_changed_verdict_file_is_judged_again(bench: Bench) -> None:
    """The history decides. A `verdict.json` with another SHA-256 than the recorded one does not."""
    assert bench.begin(ScriptedRunner({STEPS[0]: "fail"})) == ExitCode.FAIL
    run = bench.folder.run(bench.state().steps[0])
    assert run is not None
    text = run.verdict.read_text().replace('"fail"', '"pass"')
    run.verdict.write_text(text.replace('"exit_code": 1', '"exit_code": 0'))
    assert bench.resume(ScriptedRunner()) != ExitCode.PASS
    assert bench.state().verdict is not None
    assert any("judged again" in note for note in bench.state().steps[0].notes)


@pytest.mark.parametrize("damage", ["gone", "another run's"])
def test_a_run_without_its_own_config_is_repeated(damage: str, bench: Bench) -> None:
    assert bench.begin(ScriptedRunner()) == ExitCode.PASS
    run, other = (bench.folder.run(item) for item in bench.state().steps[:2])
    assert run is not None and other is not None
    if damage == "gone":
        run.config.unlink()
    else:
        run.config.write_bytes(other.config.read_bytes())
    runner = ScriptedRunner()
    assert bench.resume(runner) == ExitCode.PASS
    assert runner.made == STEPS[:1]


def test_fail_fast_stops_at_the_first_failure_and_can_be_resumed(bench: Bench) -> None:
    first = ScriptedRunner({STEPS[1]: "fail"})
    assert bench.begin(first, fail_fast=True) == ExitCode.FAIL
    assert first.made == STEPS[:2]
    state = bench.state()
    assert state.state == "stopped"
    assert state.verdict is not None and state.verdict.verdict == "NEEDS FIXES"
    assert "soak_c clean" in " ".join(state.verdict.notes)
    second = ScriptedRunner()
    assert bench.resume(second) == ExitCode.FAIL
    assert second.made == STEPS[2:]


def test_without_fail_fast_all_runs_are_made_despite_a_failure(bench: Bench) -> None:
    runner = ScriptedRunner({STEPS[0]: "fail", STEPS[1]: "invalid"})
    assert bench.begin(runner) == ExitCode.FAIL
    assert runner.made == STEPS


def test_a_process_left_by_a_run_is_ended_before_the_next_run(bench: Bench) -> None:
    left: list[tuple[RunDir, subprocess.Popen[bytes]]] = []

    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        if what == "end" and step.name == STEPS[0]:
            env = {**os.environ, RUN_ID_VARIABLE: run.run_id}
            left.append((run, subprocess.Popen(["sleep", "60"], env=env)))
            wait_for("the process shows its mark", lambda: processes_of(run.run_id))
        elif left:
            assert processes_of(left[0][0].run_id) == []

    assert bench.begin(ScriptedRunner(hook=hook)) == ExitCode.PASS
    assert len(left) == 1
    left[0][1].wait(30)
    assert bench.state().steps[0].left == [f"process {left[0][1].pid}"]


def test_leftovers_that_cannot_be_removed_prevent_the_next_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E.g. a process that does not end, or an undo that raises."""
    monkeypatch.setattr(leftovers, "remove", lambda _run: (["process 7"], ["process 7"]))
    runner = ScriptedRunner()
    with pytest.raises(ChaosError, match="cannot remove what soak_b clean left behind") as caught:
        bench.begin(runner)
    assert caught.value.exit_code == ExitCode.CLEANUP_INCOMPLETE
    assert (bench.state().state, bench.state().dirty) == ("interrupted", ["process 7"])
    assert runner.made == STEPS[:1]
    monkeypatch.undo()
    assert bench.resume(ScriptedRunner()) == ExitCode.PASS


def test_a_damaged_ledger_prevents_the_next_run(
    bench: Bench,
) -> None:
    """Its faults may still be in force."""

    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        if what == "end":
            run.ledger.write_bytes(b"{nonsense\n")

    with pytest.raises(ChaosError, match=r"ledger.jsonl:1: not a ledger record") as caught:
        bench.begin(ScriptedRunner(hook=hook))
    assert caught.value.exit_code == ExitCode.CLEANUP_INCOMPLETE
    assert "chaos clean" in caught.value.next_step
    assert bench.state().state == "interrupted"


def test_a_run_without_verdict_and_history_stops_the_gate(bench: Bench) -> None:
    def hook(what: str, step: Step, run: RunDir, interrupts: Interrupts) -> None:
        if what == "end":
            run.verdict.unlink()
            run.history.unlink()

    with pytest.raises(EnvironmentProblem, match="left nothing to judge"):
        bench.begin(ScriptedRunner(hook=hook))
    assert bench.resume(ScriptedRunner()) == ExitCode.PASS


def test_two_processes_cannot_run_the_same_gate(bench: Bench) -> None:
    assert bench.begin(ScriptedRunner()) == ExitCode.PASS
    with bench.folder.locked(), pytest.raises(UsageError, match="works on this gate already"):
        bench.resume(ScriptedRunner())


class _ClosedPipe:
    """Stands for a pipe whose reader has ended."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def fileno(self) -> int:
        raise OSError("no descriptor")


@pytest.mark.parametrize(("word", "code"), [("pass", ExitCode.PASS), ("fail", ExitCode.FAIL)])
def test_a_gate_with_a_closed_stdout_continues_to_its_verdict(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, word: str, code: ExitCode
) -> None:
    monkeypatch.setattr(sys, "stdout", _ClosedPipe())
    runner = ScriptedRunner({"soak_c clean": word})
    assert bench.begin(runner) == code
    assert runner.made == STEPS
