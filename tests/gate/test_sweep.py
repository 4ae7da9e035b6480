"""The crash sweep of a gate: planned, made after its soak, resumed, and part of the verdict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.markup import inline
from chaos.cli.main import main
from chaos.gate import leftovers
from chaos.gate.command import _content
from chaos.gate.state import GateDir, GateState, SweepState
from chaos.record.owner import RUN_ID_VARIABLE, processes_of
from chaos.record.rundir import RunDir
from chaos.runner.child import Interrupts
from chaos.sweep.state import Outcome, Sweep, SweepDir
from tests.gate.standin import PROVENANCE, SWEPT_FILE, Bench, Killed, ScriptedRunner, Swept
from tests.report.parsed import Page
from tests.waiting import wait_for

pytestmark = pytest.mark.slow(seconds=4)
SOAKS = [f"soak_{soak} {kind}" for soak in "bc" for kind in ("clean", "under llm_timeout")]


@pytest.fixture
def swept(tmp_path: Path) -> Bench:
    return Bench(tmp_path, SWEPT_FILE)


def entry_of(bench: Bench) -> SweepState:
    entry = bench.state().sweep
    assert entry is not None
    return entry


def verdict_of(bench: Bench) -> tuple[str, str]:
    final = bench.state().verdict
    assert final is not None
    return final.verdict, final.reason


def test_the_sweep_is_made_after_its_soak_and_is_part_of_the_verdict(
    swept: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ScriptedRunner(swept=Swept(hook=lambda _run, _event: runner.made.append("break")))
    assert swept.begin(runner) == ExitCode.PASS
    assert runner.made == [*SOAKS[:2], "break", "break", *SOAKS[2:]]
    out = capsys.readouterr().out
    assert out.startswith("gate: 4 runs and a crash sweep, about ")
    assert "gate 3/5: crash sweep, about" in out
    assert "\n..\n" in out  # a mark for each break, as it comes
    assert "gate 3/5: crash sweep: SURVIVED, 2 survived (2 points)" in out
    assert verdict_of(swept)[0] == "PRODUCTION-READY"
    assert verdict_of(swept)[1].endswith("crash sweep: 2 survived (2 points)")
    entry = entry_of(swept)
    assert (entry.state, entry.verdict, entry.word, entry.exit_code) == (
        "done",
        "pass",
        "SURVIVED",
        0,
    )
    assert entry.lasted_s is not None
    folder = swept.folder.sweep(entry)
    assert folder is not None and folder.path.parent == swept.folder.path / "sweep"
    assert len(folder.read().results) == 2
    assert folder.page.is_file() and folder.junit.is_file()
    assert entry.command in swept.folder.changelog.read_text()


@pytest.mark.parametrize(
    ("outcomes", "words", "verdict", "code", "reason"),
    [
        (("survived", "failed"), {}, "NEEDS FIXES", 1, "failed: crash sweep"),
        (("not reached", "failed"), {"soak_c clean": "fail"}, "NEEDS FIXES", 1, "crash sweep"),
        (("survived", "not reached"), {}, "NOT PROVEN", 3, "crash sweep is NOT PROVEN (exit 3): 1"),
        (("survived", "unverified"), {}, "NOT PROVEN", 3, "1 unverified, 1 survived (2 points)"),
        (("survived", "invalid"), {}, "NOT PROVEN", 4, "crash sweep is NOT PROVEN (exit 4)"),
        (("survived", "survived"), {"soak_c clean": "fail"}, "NEEDS FIXES", 1, "failed: soak_c"),
    ],
)
def test_what_was_not_survived_decides(
    outcomes: tuple[Outcome, ...],
    words: dict[str, str],
    verdict: str,
    code: int,
    reason: str,
    swept: Bench,
) -> None:
    assert swept.begin(ScriptedRunner(words, swept=Swept(*outcomes))) == code
    assert verdict_of(swept)[0] == verdict
    assert reason in verdict_of(swept)[1]
    suites = ET.fromstring(swept.folder.junit.read_text()).findall("testsuite")
    suite = next(suite for suite in suites if suite.get("name") == "crash sweep")
    bad = sum(outcome != "survived" for outcome in outcomes)
    assert int(suite.get("failures", "")) + int(suite.get("errors", "")) == bad
    assert [suite.get("id") for suite in suites] == [str(n) for n in range(len(suites))]


def test_a_sweep_whose_calls_cannot_be_witnessed_is_not_proven(
    swept: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control stops the sweep: it has no points, and says why."""

    def stopped(_self: ScriptedRunner, _i: Interrupts, _s: Any, folder: SweepDir, sweep: Sweep,
                *_more: Any) -> ExitCode:  # fmt: skip
        sweep.state, sweep.reason = "stopped", "system calls cannot be witnessed here: no seccomp"
        folder.write(sweep)
        return ExitCode.INVALID

    monkeypatch.setattr(ScriptedRunner, "sweep", stopped)
    assert swept.begin(ScriptedRunner()) == ExitCode.INVALID
    assert verdict_of(swept) == (
        "NOT PROVEN",
        "crash sweep is NOT FINISHED (exit 4): system calls cannot be witnessed here: no seccomp",
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"no_sweep": True}, "left out: crash sweep (--no-sweep)"),
        ({"soaks": "c"}, "left out: crash sweep (it follows soak_b, which is left out)"),
        ({"witness": "none"}, "left out: crash sweep (--witness none"),
    ],
)
def test_a_sweep_that_is_left_out_is_named_everywhere_and_never_production_ready(
    options: dict[str, Any], reason: str, swept: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept.begin(ScriptedRunner(), **options) == ExitCode.INCONCLUSIVE
    assert verdict_of(swept)[0] == "NOT PROVEN"
    assert reason in verdict_of(swept)[1]
    assert reason in capsys.readouterr().out.partition("gate: ")[2]
    why = reason.partition("(")[2].removesuffix(")")
    assert f"**Crash sweep: left out** ({inline(why)}" in swept.folder.changelog.read_text()
    assert why in Page(swept.folder.page.read_text()).text
    cases = ET.fromstring(swept.folder.junit.read_text()).iter("testcase")
    (case,) = [case for case in cases if case.get("name") == "crash sweep"]
    assert case.find("error") is not None
    assert not (swept.folder.path / "sweep").exists()


def test_a_target_without_work_to_submit_is_named_as_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The soaks of this gate resolve; the sweep's piece of work does not."""
    bench = Bench(tmp_path, SWEPT_FILE)
    error = UsageError("the target does not say what is in a file of work", place="target, work")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("chaos.gate.sweep_step._control", _raising(error))
        assert bench.begin(ScriptedRunner()) == ExitCode.INCONCLUSIVE
    assert "left out: crash sweep (no piece of work can be planned: the target" in (
        capsys.readouterr().out
    )


def _raising(error: Exception) -> Any:
    def raising(*_values: Any) -> Any:
        raise error

    return raising


def test_a_gate_without_a_sweep_in_its_file_misses_none(bench: Bench) -> None:
    assert bench.begin(ScriptedRunner()) == ExitCode.PASS
    assert bench.state().sweep is None
    assert "Crash sweep" not in bench.folder.page.read_text()


def test_notify_tells_of_the_sweep(swept: Bench) -> None:
    swept.begin(ScriptedRunner(swept=Swept("failed", "survived")))
    content = _content(swept.folder, swept.state(), ExitCode.FAIL)
    assert content["sweep"]["word"] == "NOT CRASH-SAFE"
    assert content["sweep"]["counts"] == {"failed": 1, "survived": 1}


# -- interruptions ----------------------------------------------------------------------------


def test_an_interrupted_sweep_is_gone_on_with_and_not_made_anew(swept: Bench) -> None:
    def interrupted(_run: RunDir, _interrupts: Interrupts) -> None:
        if len(first.swept.runs) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            wait_for("the signal has come", _interrupts.event.is_set)

    first = ScriptedRunner(swept=Swept(hook=interrupted))
    assert swept.begin(first) == ExitCode.INTERRUPTED
    entry = entry_of(swept)
    assert (entry.state, entry.counts_text) == ("running", "1 survived (2 points)")
    second = ScriptedRunner()
    assert swept.resume(second) == ExitCode.PASS
    assert len(second.swept.runs) == 1
    assert second.made == SOAKS[2:]
    again = entry_of(swept)
    assert again.sweep == entry.sweep
    assert any("cut off after 1 break" in note for note in again.notes)


@pytest.mark.slow(seconds=30)
def test_a_kill_at_any_moment_of_the_sweep_keeps_what_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL before and after every write of either state, and in the run of each break."""
    count, limit = 0, sys.maxsize
    write, write_sweep = GateDir.write, SweepDir.write

    def moment() -> None:
        nonlocal count
        count += 1
        if count == limit:
            raise Killed

    def gate_write(self: GateDir, state: GateState) -> None:
        moment()
        write(self, state)
        moment()

    def sweep_write(self: SweepDir, state: Sweep) -> None:
        moment()
        write_sweep(self, state)
        moment()

    monkeypatch.setattr(GateDir, "write", gate_write)
    monkeypatch.setattr(SweepDir, "write", sweep_write)
    monkeypatch.setattr(leftovers, "find", lambda _run: [])  # slow: reads all of /proc
    monkeypatch.setattr("chaos.gate.sweep_step._control", lambda _asked, _work: {})  # slow, too
    complete = Bench(_folder(tmp_path, 0), SWEPT_FILE)
    assert complete.begin(_killable(moment), soaks="b") == ExitCode.INCONCLUSIVE
    moments = count
    begun = 11  # writes of the gate before the sweep: its beginning, and its two runs
    for at in range(begun, moments + 1):
        bench = Bench(_folder(tmp_path, at), SWEPT_FILE)
        count, limit = 0, at
        first = _killable(moment)
        with pytest.raises(Killed):
            bench.begin(first, soaks="b")
        limit = sys.maxsize
        second = _killable(moment)
        assert bench.resume(second) == ExitCode.INCONCLUSIVE, at
        entry = entry_of(bench)
        assert (entry.state, entry.counts) == ("done", {"survived": 2}), at
        # The next break may have begun before the result of the last one was stored.
        assert len(first.swept.runs) + len(second.swept.runs) <= 4, at
        folder = bench.folder.sweep(entry)
        assert folder is not None
        assert [result.point for result in folder.read().results] == [1, 2], at


def _killable(moment: Any) -> ScriptedRunner:
    return ScriptedRunner(swept=Swept(hook=lambda _run, _event: moment()))


def _folder(root: Path, number: int) -> Path:
    path = root / str(number)
    path.mkdir()
    return path


def test_a_finished_sweep_is_kept_and_a_changed_one_is_made_again(swept: Bench) -> None:
    assert swept.begin(ScriptedRunner(swept=Swept("survived", "failed"))) == ExitCode.FAIL
    same = ScriptedRunner()
    assert swept.resume(same) == ExitCode.FAIL
    assert (same.made, same.swept.runs) == ([], [])
    before = entry_of(swept)
    folder = swept.folder.sweep(before)
    assert folder is not None
    folder.state.write_text(folder.state.read_text().replace('"failed"', '"survived"'))
    again = ScriptedRunner(swept=Swept("survived", "failed"))
    assert swept.resume(again) == ExitCode.FAIL
    assert len(again.swept.runs) == 2
    assert entry_of(swept).sweep != before.sweep
    assert "its sweep.json was changed, made again" in entry_of(swept).notes


@pytest.mark.parametrize("damage", ["gone", "{", "another"])
def test_a_sweep_that_is_not_its_own_is_made_again(damage: str, swept: Bench) -> None:
    assert swept.begin(ScriptedRunner()) == ExitCode.PASS
    folder = swept.folder.sweep(entry_of(swept))
    assert folder is not None
    if damage == "gone":
        folder.state.unlink()
    else:
        other = folder.state.read_text().replace('"seed": 7', '"seed": 8')
        folder.state.write_text(other if damage == "another" else damage)
    again = ScriptedRunner()
    assert swept.resume(again) == ExitCode.PASS
    assert (again.made, len(again.swept.runs)) == ([], 2)
    assert any("made again" in note for note in entry_of(swept).notes)


@pytest.mark.parametrize(
    ("old", "new"),
    [("points: 2", "points: 3"), ("[crash]", "[crash_all]"), (", sweep: {after: soak_b", "")],
)
def test_resuming_with_another_sweep_in_the_file_is_rejected(
    old: str, new: str, swept: Bench
) -> None:
    swept.begin(ScriptedRunner())
    text = swept.file.read_text()
    changed = text.partition(", sweep:")[0] + "}\n" if not new else text.replace(old, new)
    swept.file.write_text(changed)
    with pytest.raises(UsageError, match="the crash sweep is not what it was when the gate began"):
        swept.resume(ScriptedRunner())


def test_resuming_a_gate_of_a_file_that_had_no_sweep_is_rejected(bench: Bench) -> None:
    bench.begin(ScriptedRunner())
    bench.file.write_text(SWEPT_FILE)
    with pytest.raises(UsageError, match="the crash sweep is not what it was"):
        bench.resume(ScriptedRunner())


def test_resuming_with_no_sweep_is_rejected(swept: Bench) -> None:
    swept.begin(ScriptedRunner())
    with pytest.raises(UsageError) as caught:
        swept.resume(ScriptedRunner(), no_sweep=True)
    assert caught.value.place.startswith("--no-sweep with --resume")


# -- leftovers --------------------------------------------------------------------------------


def test_a_process_left_by_a_break_is_ended_before_the_next_break(swept: Bench) -> None:
    left: list[tuple[RunDir, subprocess.Popen[bytes]]] = []

    def hook(run: RunDir, _interrupts: Interrupts) -> None:
        if left:
            assert processes_of(left[0][0].run_id) == []
            return
        env = {**os.environ, RUN_ID_VARIABLE: run.run_id}
        left.append((run, subprocess.Popen(["sleep", "60"], env=env)))
        wait_for("the process shows its mark", lambda: processes_of(run.run_id))

    assert swept.begin(ScriptedRunner(swept=Swept(hook=hook))) == ExitCode.PASS
    left[0][1].wait(30)
    assert entry_of(swept).left == [f"process {left[0][1].pid}"]


def test_leftovers_of_a_break_that_cannot_be_removed_end_the_gate(swept: Bench) -> None:
    def hook(run: RunDir, _interrupts: Interrupts) -> None:
        run.ledger.write_bytes(b"{nonsense\n")

    runner = ScriptedRunner(swept=Swept(hook=hook))
    with pytest.raises(ChaosError, match="cannot remove what crash sweep left behind") as caught:
        swept.begin(runner)
    assert caught.value.exit_code == ExitCode.CLEANUP_INCOMPLETE
    assert len(runner.swept.runs) == 1
    assert runner.made == SOAKS[:2]
    assert swept.state().state == "interrupted"
    runner.swept.runs[0].ledger.unlink()
    assert swept.resume(ScriptedRunner()) == ExitCode.PASS


def test_clean_includes_the_runs_of_a_gates_sweep(
    swept: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    swept.begin(ScriptedRunner())
    capsys.readouterr()
    assert main(["clean", "--runs", str(swept.runs)]) == ExitCode.PASS
    assert "6 run(s) looked at" in capsys.readouterr().out


# -- the system, the files --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provenance", "reason"),
    [
        ({**PROVENANCE, "chaos": "another"}, "the runs differ in chaos: "),
        ({}, "chaos is not recorded in 2 of 6 runs"),
    ],
)
def test_a_sweep_of_another_system_is_not_proven(
    provenance: dict[str, Any], reason: str, swept: Bench
) -> None:
    runner = ScriptedRunner(swept=Swept(provenance=provenance))
    assert swept.begin(runner) == ExitCode.INCONCLUSIVE
    assert reason in verdict_of(swept)[1]


def test_the_page_links_the_sweep_and_shows_what_did_not_survive(
    swept: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def hook(run: RunDir, _interrupts: Interrupts) -> None:
        (run.path / "report.html").write_text("page")

    swept.begin(ScriptedRunner(swept=Swept("failed", "survived", hook=hook)))
    page = Page(swept.folder.page.read_text(encoding="utf-8"))
    shown = " ".join(page.text.split())
    assert "NOT CRASH-SAFE" in shown
    assert "1 failed, 1 survived (2 points)" in shown
    assert "Exactly once: decided twice" in shown
    entry = entry_of(swept)
    assert entry.sweep is not None
    for end in (f"{entry.sweep}/sweep.html", "report.html"):
        links = [href for href in page.links() if href.startswith("sweep/") and href.endswith(end)]
        assert links and all((swept.folder.path / href).is_file() for href in links)
    again = "chaos sweep reference --point 1 --kind crash"
    again = again.replace(" reference", "")
    assert again in page.text
    out = capsys.readouterr().out
    assert f"next       {again}" in out
    assert "Exactly once: decided twice" in out.partition("NEEDS FIXES")[2]
    assert "Exactly once: decided twice" in swept.folder.changelog.read_text()


def test_json_has_the_sweep(swept: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    swept.begin(ScriptedRunner(), json=True)
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert content["sweep"]["word"] == "SURVIVED"
    assert content["sweep"]["counts"] == {"survived": 2}
    assert ".." in err
    assert swept.begin(ScriptedRunner(), dry_run=True, json=True) == ExitCode.PASS
    planned = json.loads(capsys.readouterr().out)
    assert planned["sweep"]["asked"]["sample"] == 2
    assert planned["sweep"]["planned_s"] > 0


def test_the_sweep_runs_on_the_system_of_the_gate(
    swept: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept.begin(ScriptedRunner(), dry_run=True, json=True, sandbox="none") == ExitCode.PASS
    asked = json.loads(capsys.readouterr().out)["sweep"]["asked"]
    assert (asked["sandbox"], asked["backend"], asked["seed"]) == ("none", "local", 7)
    swept.begin(ScriptedRunner(), sandbox="none")
    assert "--sandbox none" in entry_of(swept).command


def test_fail_fast_stops_after_a_sweep_that_failed(swept: Bench) -> None:
    runner = ScriptedRunner(swept=Swept("failed", "survived"))
    assert swept.begin(runner, fail_fast=True) == ExitCode.FAIL
    assert runner.made == SOAKS[:2]
    assert swept.state().state == "stopped"


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("after: soak_b", "after: soak_x", "sweep.after", "unknown soak 'soak_x'"),
        ("after: soak_b", "after: soak_a", "sweep.after", "unknown soak 'soak_a'"),
        ("after: soak_b, ", "", "sweep", "after"),
        ("points: 2", "points: 0", "sweep.points", "at least 1"),
        ("points: 2", "points: some", "sweep.points", "all"),
        ("[crash]", "[cras]", "sweep.kinds[0]", "did you mean 'crash'"),
        ("[crash]", "[]", "sweep.kinds", "[] is not a list of text"),
        ("[crash]", "[error], errors: [EXX]", "sweep.errors[0]", "unknown error 'EXX'"),
        ("[crash]", "[crash], errors: [EIO]", "sweep.errors", "not among the kinds"),
        ("points: 2", "point: 2", "sweep", "point"),
        ("points: 2", "work: [selfpaly]", "sweep.work", "did you mean 'selfplay'"),
    ],
)
def test_a_mistake_in_the_file_is_explained(
    old: str, new: str, place: str, words: str, swept: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    swept.file.write_text(swept.file.read_text().replace(old, new))
    assert main(["gate", "--config", str(swept.file), "--dry-run"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert f"gate.yaml:5 profiles.quick.{place}" in err
    assert words in err
