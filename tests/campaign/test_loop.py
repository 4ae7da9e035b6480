"""The runs of a campaign: none lost, none counted twice, and which are made again."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import pytest

from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.exitcode import ExitCode
from chaos.campaign import loop as loops
from chaos.campaign.attempts import ATTEMPT, attempts_of, read_attempt
from chaos.campaign.loop import LeftBehind, tidy
from chaos.campaign.result import result_of
from chaos.campaign.state import CampaignDir
from chaos.record.rundir import RunDir
from chaos.runner.child import Interrupts
from tests.campaign.standin import Killed, Standin, begun, make, words_of


def test_every_run_is_made_once_and_lies_in_its_place(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path)
    standin = Standin()
    make(folder, campaign, standin, slots=3)
    assert sorted(standin.made) == [1, 2, 3, 4]
    assert words_of(folder, campaign) == {n: ["pass"] for n in (1, 2, 3, 4)}
    for entry in campaign.entries:
        (made,) = attempts_of(folder, entry)
        assert made.path == folder.runs / f"{entry.index:05}" / "1"
        assert RunDir(made.path).read_json(made.path / "config.json")["seed"] == entry.seed
    assert not folder.scratch.exists()
    assert result_of(folder, campaign).exit_code == ExitCode.PASS


def test_only_what_was_invalid_is_made_again_and_at_most_twice(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path)
    standin = Standin(
        {1: ["fail"], 2: ["invalid", "inconclusive"], 3: ["invalid"] * 9, 4: ["none", "pass"]}
    )
    make(folder, campaign, standin)
    assert words_of(folder, campaign) == {
        1: ["fail"],
        2: ["invalid", "inconclusive"],
        3: ["invalid"] * 3,
        4: ["", "pass"],
    }
    make(folder, campaign, standin)  # neither is one made again later
    assert len(standin.made) == 1 + 2 + 3 + 2
    result = result_of(folder, campaign)
    assert [row.word for row in result.rows] == ["fail", "inconclusive", "invalid", "pass"]
    assert result.exit_code == ExitCode.FAIL


def test_a_run_that_could_not_begin_counts_as_an_invalid_attempt(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path, "1")

    def refused(*_: object) -> None:
        raise EnvironmentProblem("no namespaces here")

    with mock.patch("chaos.campaign.loop.make_run", refused):
        loops.Loop(folder, campaign, Interrupts(), 1, lambda *_: None).run()
    made = attempts_of(folder, campaign.entries[0])
    assert [one.attempt.reason for one in made] == ["no namespaces here"] * 3
    assert result_of(folder, campaign).exit_code == ExitCode.INVALID


def _kill_in(step: str, standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the driver be killed at a step of the second run."""

    def killed(*_: object) -> None:
        raise Killed

    def on_second(seed: int) -> None:
        if seed == 2:
            if step in ("before the run", "after the run"):
                raise Killed
            monkeypatch.setattr(loops, step, killed)

    if step == "before the run":
        standin.before = on_second
    else:
        standin.after = on_second


@pytest.mark.parametrize(
    ("step", "made_again"),
    [
        ("before the run", True),
        ("after the run", True),
        ("write_atomic", True),
        ("publish", False),  # it had ended, and was kept
    ],
)
def test_a_killed_driver_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, made_again: bool
) -> None:
    folder, campaign = begun(tmp_path)
    standin = Standin()
    with monkeypatch.context() as patched:
        _kill_in(step, standin, patched)
        with pytest.raises(Killed):
            make(folder, campaign, standin)
    assert words_of(folder, campaign) == {1: ["pass"], 2: [], 3: [], 4: []}
    # The owner of what is in scratch is this process, which stands for the killed one.
    for owner in folder.scratch.glob("*/*/*/owner.json"):
        owner.unlink()
    standin.before = standin.after = lambda _seed: None
    make(folder, campaign, standin)
    assert words_of(folder, campaign) == {n: ["pass"] for n in (1, 2, 3, 4)}
    assert standin.made.count(2) == 1 + made_again
    assert [standin.made.count(seed) for seed in (1, 3, 4)] == [1, 1, 1]


def test_an_interrupted_run_leaves_nothing_and_is_made_again(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path)
    standin, interrupts = Standin({2: ["fail"]}), Interrupts()
    standin.after = lambda seed: interrupts.event.set() if seed == 2 else None
    make(folder, campaign, standin, interrupts=interrupts)
    assert words_of(folder, campaign) == {1: ["pass"], 2: [], 3: [], 4: []}
    assert standin.made == [1, 2]
    assert not folder.scratch.exists()
    result = result_of(folder, campaign)
    assert (result.exit_code, result.word) == (ExitCode.INCONCLUSIVE, "NOT FINISHED")
    standin.after = lambda _seed: None
    make(folder, campaign, standin)
    assert standin.made == [1, 2, 2, 3, 4]


def test_after_a_run_that_left_something_behind_no_further_one_begins(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path)
    standin = Standin({2: ["left"]})
    loop, seen = make(folder, campaign, standin)
    assert standin.made == [1, 2]
    assert [one.exit_code for one in seen] == [0, 6]
    assert "chaos clean" in loop.stopped
    (place,) = folder.scratch.glob("*/*/2*")
    assert read_attempt(place) is not None
    # Where it cannot be cleaned, no run begins; once it is, its verdict counts.
    (place / "ledger.jsonl").write_text("damaged\n")
    with pytest.raises(LeftBehind, match="cannot be removed"):
        tidy(folder, campaign, lambda _text: None)
    assert LeftBehind.exit_code == ExitCode.CLEANUP_INCOMPLETE
    (place / "ledger.jsonl").unlink()
    make(folder, campaign, standin)
    assert standin.made == [1, 2, 3, 4]
    assert result_of(folder, campaign).exit_code == ExitCode.PASS


def test_after_an_error_no_further_run_begins(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path)
    standin = Standin()

    def full(_folder: CampaignDir, _index: int, _place: Path) -> None:
        raise OSError(28, "No space left on device")

    with (
        mock.patch("chaos.campaign.loop.publish", full),
        pytest.raises(ChaosError, match="No space left on device"),
    ):
        make(folder, campaign, standin)
    assert standin.made == [1]
    make(folder, campaign, standin)
    assert words_of(folder, campaign) == {n: ["pass"] for n in (1, 2, 3, 4)}
    assert standin.made == [1, 2, 3, 4]  # the complete one was kept


def test_a_run_of_another_plan_is_neither_made_nor_counted(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path)
    make(folder, campaign, Standin())
    shutil.move(folder.runs / "00002", folder.runs / "saved")
    shutil.copytree(folder.runs / "00001", folder.runs / "00002")
    assert attempts_of(folder, campaign.entries[1]) == []
    (folder.runs / "00003" / "1" / ATTEMPT).write_text("{")
    assert attempts_of(folder, campaign.entries[2]) == []
    changed = {"plan_digest": "0" * 64}
    from msgspec.structs import replace

    campaign.entries = tuple(replace(entry, **changed) for entry in campaign.entries)
    with pytest.raises(UsageError, match="not what it was"):
        make(folder, campaign, Standin())


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    folder, _ = begun(tmp_path)
    with (
        folder.locked(),
        pytest.raises(UsageError, match="works on this campaign already"),
        folder.locked(),
    ):
        pass
