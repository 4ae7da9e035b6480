"""A comparison: pairs in order, decided as soon as they show it, and kept after each.

In place of `prepare` and the guardian stands a program that writes the verdict of a run; scores are
then taken from these verdicts alone. tests/compare/demonstration.py compares real daemons.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from chaos.checks.verdict import Verdict
from chaos.cli.main import main
from chaos.compare.score import Score, scored
from chaos.compare.state import Asked, Compare, find_compare
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.run_list import RunList
from chaos.record.rundir import RunDir, create
from chaos.report.stored import load
from chaos.runner.launch import Prepared
from tests.compare.test_score import failing, verdict
from tests.planted.table import REPO

GOOD = verdict(strikes=1)
BAD = verdict(failing("routing"), strikes=1, word="fail", exit_code=1)
LOST = verdict(failing("exactly_once"), strikes=1, word="fail", exit_code=1)
VOID = verdict(strikes=1, word="invalid", exit_code=4)
WRITER = """
import pathlib, sys
pathlib.Path(sys.argv[1]).write_text(sys.argv[2])
sys.exit(int(sys.argv[3]))
"""


@dataclass
class Stage:
    """What runs are made, and the verdict of each: by the target, and how many it had before."""

    runs: Path
    of: Callable[[str, int], Verdict]
    made: list[tuple[str, Plan, Schedule]] = field(default_factory=list)

    def prepare(self, plan: Plan, schedule: Schedule, runs: Path, _display: object) -> Prepared:
        name = plan.target.target
        found = self.of(name, sum(other == name for other, _, _ in self.made))
        self.made.append((name, plan, schedule))
        run = create(runs, plan.soak, plan.seed)
        text = json.dumps(msgspec.to_builtins(found))
        argv = [sys.executable, "-S", "-c", WRITER, str(run.verdict), text, str(found.exit_code)]
        return Prepared(run, argv, dict(os.environ))

    def compare(self) -> Compare:
        return find_compare("latest", self.runs).read()


def from_verdict(run: RunDir, _kind: object) -> Score:
    found = load(run).verdict
    if found.exit_code == 4:
        return Score(value=None, why="invalid")
    return scored(found, [], 20.0, "survived")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path / "runs", lambda _name, _count: GOOD)
    monkeypatch.setattr("chaos.compare.command.ensure", lambda _progress: None)
    monkeypatch.setattr("chaos.compare.loop.prepare", made.prepare)
    monkeypatch.setattr("chaos.compare.loop.score_of", from_verdict)
    monkeypatch.setattr("chaos.compare.loop.write_page", lambda *_: None)
    yield made


def changed(folder: Path) -> str:
    """The reference target as another one, `candidate`."""
    text = (REPO / "experiments" / "targets" / "reference.yaml").read_text()
    text = text.replace("target: reference", "target: candidate", 1)
    path = folder / "candidate.yaml"
    path.write_text(text)
    return str(path)


def command(stage: Stage, *words: str, candidate: str = "") -> int:
    arms = ["reference", candidate or changed(stage.runs.parent)]
    resumed = "--resume" in words
    seed = [] if resumed else ["--seed", "7"]
    return main(["compare", *([] if resumed else arms), *seed, "--runs", str(stage.runs), *words])


@pytest.mark.slow(seconds=6)
def test_equal_daemons_pass_as_soon_as_that_is_shown(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(stage, "--margin", "0.5", "--alpha", "0.2") == 0
    compare = stage.compare()
    assert compare.state == "complete" and 5 <= len(compare.pairs) < 10
    out = capsys.readouterr().out
    assert "✓ PASS" in out and out.count("\npair ") == len(compare.pairs)
    folder = find_compare("latest", stage.runs)
    assert "PASS" in folder.page.read_text()
    suite = ET.parse(folder.junit).find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")


@pytest.mark.slow(seconds=4)
def test_a_worse_candidate_is_blocked(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.of = lambda name, _count: BAD if name == "candidate" else GOOD
    assert command(stage, "--json") == 1
    content = json.loads(capsys.readouterr().out)
    assert (content["verdict"], content["mean_difference"]) == ("BLOCK", -1.0)
    assert content["interval"][1] < -0.1
    suite = ET.parse(find_compare("latest", stage.runs).junit).find("testsuite")
    assert suite is not None and suite.get("failures") == "1"
    (entry,) = RunList(stage.runs).read().batches
    assert (entry.word, entry.of) == ("BLOCK", f"{content['asked']['candidate']} against reference")
    assert entry.counts == {"counted pairs": len(content["pairs"])}


@pytest.mark.slow(seconds=2)
def test_both_runs_of_a_pair_have_one_schedule_and_the_seed_draws_the_order(stage: Stage) -> None:
    assert command(stage, "--pairs-max", "6") == 3
    pairs = stage.compare().pairs
    for pair, first, second in zip(pairs, stage.made[::2], stage.made[1::2], strict=True):
        assert {first[0], second[0]} == {"reference", "candidate"}
        assert first[2] == second[2] and first[2].hash == pair.schedule_hash
        assert first[1].seed == second[1].seed == pair.seed
        assert (first[0] == "reference") is (pair.first == "base")
    assert len({pair.seed for pair in pairs}) == 6
    assert {pair.first for pair in pairs} == {"base", "candidate"}


@pytest.mark.slow(seconds=1)
def test_a_newly_lost_request_blocks_at_once(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.of = lambda name, _count: LOST if name == "candidate" else GOOD
    assert command(stage) == 1
    assert len(stage.compare().pairs) == 1
    assert "blocked by pair 1: Exactly_Once" in capsys.readouterr().out


@pytest.mark.slow(seconds=1)
def test_a_request_that_both_lose_does_not_block(stage: Stage) -> None:
    stage.of = lambda _name, _count: LOST
    assert command(stage, "--pairs-max", "2") == 3


@pytest.mark.slow(seconds=4)
def test_a_base_that_survives_nothing_proves_nothing(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.of = lambda _name, _count: BAD
    assert command(stage, "--margin", "0.5", "--alpha", "0.2") == 3
    assert "the base scores 0.00 on average" in capsys.readouterr().out
    assert len(stage.compare().pairs) < 10, "more pairs would not help"


@pytest.mark.slow(seconds=2)
def test_a_pair_of_which_a_run_says_nothing_is_made_again(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.of = lambda name, count: VOID if name == "reference" and count == 0 else GOOD
    assert command(stage, "--pairs-max", "1") == 3
    (pair,) = stage.compare().pairs
    assert not pair.void and len(pair.again) == 1
    assert "1 attempts repeated" in capsys.readouterr().out


@pytest.mark.slow(seconds=3)
def test_pairs_that_never_say_anything_end_it_as_a_matter_of_the_environment(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.of = lambda name, _count: VOID if name == "candidate" else GOOD
    assert command(stage) == 4
    compare = stage.compare()
    assert compare.state == "stopped" and all(pair.void for pair in compare.pairs)
    assert len(compare.pairs) == 3 and not compare.counted
    assert "says nothing" in capsys.readouterr().out


@pytest.mark.slow(seconds=3)
def test_a_comparison_goes_on_where_it_was_cut_off(stage: Stage) -> None:
    assert command(stage, "--pairs-max", "4") == 3
    folder = find_compare("latest", stage.runs)
    whole = folder.read()
    cut = msgspec.structs.replace(whole, pairs=whole.pairs[:2], state="running")
    folder.write(cut)
    stage.made.clear()
    assert command(stage, "--resume", "latest") == 3
    assert len(stage.made) == 4, "two pairs were left"
    again = folder.read().pairs
    assert [pair.schedule_hash for pair in again] == [pair.schedule_hash for pair in whole.pairs]


@pytest.mark.slow(seconds=2)
def test_an_interruption_keeps_the_pairs_that_were_made(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    def of(_name: str, _count: int) -> Verdict:
        if len(stage.made) == 5:  # in the third pair
            os.kill(os.getpid(), signal.SIGINT)
        return GOOD

    stage.of = of
    assert command(stage) == 130
    assert "go on      chaos compare --resume" in capsys.readouterr().out
    compare = stage.compare()
    assert (compare.state, len(compare.pairs)) == ("interrupted", 2)


@pytest.mark.slow(seconds=2)
def test_it_goes_on_as_it_began(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = changed(stage.runs.parent)
    assert command(stage, "--pairs-max", "1", candidate=candidate) == 3
    assert command(stage, "--resume", "latest", "--alpha", "0.2", candidate=candidate) == 2
    assert "--alpha with --resume" in capsys.readouterr().err
    text = Path(candidate).read_text()
    Path(candidate).write_text(text.replace("stop_limit_s: 30", "stop_limit_s: 29"))
    assert command(stage, "--resume", "latest", candidate=candidate) == 2
    assert "not what it was" in capsys.readouterr().err


def test_pairs_count_in_their_order_whatever_is_done_first(stage: Stage) -> None:
    assert command(stage, "--pairs-max", "4", "--jobs", "3") == 3
    assert [pair.number for pair in stage.compare().pairs] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["reference"], "BASE and CANDIDATE"),
        (["reference", "referense"], "CANDIDATE: unknown target"),
        (["nowhere.yaml", "reference"], "BASE: no such file"),
        (["reference", "reference", "--margin", "nan"], "--margin"),
        (["reference", "reference", "--alpha", "0"], "--alpha"),
        (["reference", "reference", "--pairs-max", "0"], "--pairs-max"),
        (["reference", "reference", "--pairs-min", "9", "--pairs-max", "8"], "--pairs-min"),
        (["reference", "reference", "--jobs", "0"], "--jobs"),
        (["reference", "reference", "--soak", "soak_x"], "unknown soak"),
        (["--resume", "nothing"], "--resume"),
        (["plan"], "chaos compare plan"),
        (["plan", "nowhere"], "no such folder"),
        (["0000000:a/target.yaml", "reference"], "BASE"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_leaves_nothing(
    words: list[str], place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words, "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert place in said and "next:" in said
    assert not list(tmp_path.glob("runs/compare/*"))


def test_targets_that_need_another_schedule_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = changed(tmp_path)
    text = Path(slow).read_text()
    Path(slow).write_text(text.replace("  order: arrival\n", "  order: arrival\n  unit_s: 60\n"))
    assert main(["compare", "reference", slow, "--runs", str(tmp_path / "runs")]) == 2
    assert "the schedules differ" in capsys.readouterr().err


def test_a_dry_run_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "reference", "reference", "--dry-run", "--seed", "3"]
    assert main([*words, "--runs", str(tmp_path)]) == 0
    assert "margin 0.1" in capsys.readouterr().out
    assert not list(tmp_path.glob("compare/*"))


def test_a_target_of_a_git_revision_is_taken_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chaos.compare.arms import targets_of, with_pinned_revisions
    from chaos.compare.state import CompareDir

    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "target.yaml").write_text("old")

    def git(*words: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *name, *words], cwd=repo, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "first")
    (repo / "target.yaml").write_text("new")
    monkeypatch.chdir(repo)
    asked = with_pinned_revisions(_asked("main:target.yaml", "target.yaml"))
    assert asked.base.partition(":")[0].isalnum() and len(asked.base.partition(":")[0]) == 40
    targets = targets_of(asked, CompareDir(tmp_path / "compare"))
    assert Path(targets["base"]).read_text() == "old"
    assert targets["candidate"] == "target.yaml"
    assert not (repo / ".git" / "worktrees").exists()


def test_a_revision_without_the_file_is_a_mistake_that_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPO)
    words = ["compare", "HEAD:no/such.yaml", "reference", "--runs", str(tmp_path / "runs")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "BASE: revision" in said and "has no file no/such.yaml" in said
    assert not list(tmp_path.glob("runs/compare/*"))


def test_a_revision_of_this_repository_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPO)
    target = "experiments/targets/reference.yaml"
    words = ["compare", f"HEAD:{target}", target, "--dry-run", "--runs", str(tmp_path)]
    assert main(words) == 0
    assert f":{target}, candidate" in capsys.readouterr().out


def _asked(base: str, candidate: str) -> Asked:
    return Asked(
        base=base,
        candidate=candidate,
        soak="soak_b",
        profile=None,
        faults=("llm_timeout",),
        overrides=(),
        margin=0.1,
        alpha=0.05,
        pairs_min=5,
        pairs_max=200,
        score="survived",
        seed=7,
    )


def test_the_page_escapes_what_runs_say(stage: Stage) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    stage.of = lambda _name, _count: verdict(
        msgspec.structs.replace(failing("routing"), title=hostile),
        strikes=1,
        word="fail",
        exit_code=1,
    )
    assert command(stage, "--pairs-max", "1") == 3
    page = find_compare("latest", stage.runs).page.read_text()
    assert hostile not in page and "&lt;img" in page
    assert page.count("<polyline") == 2


def test_a_plan_says_how_many_pairs_it_takes() -> None:
    from chaos.compare.plan import forecasts

    asked = _asked("a", "b")
    same, worse = forecasts([1.0] * 19 + [0.0], 90.0, asked)
    assert same.word == "PASS" and same.share > 0.9
    assert same.median_pairs is not None and 40 <= same.median_pairs <= 90
    assert same.median_hours == pytest.approx(same.median_pairs * 2 * 90 / 3600)
    assert worse.word == "BLOCK" and worse.median_pairs is not None and worse.share > 0.5
    bad, _ = forecasts([1.0, 0.0], 90.0, asked)
    assert bad.share < same.share, "scores that vary more need more pairs"
