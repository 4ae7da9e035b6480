"""What a campaign says: headline, exit code, matrix, recovery, JUnit, page, SQL, `--json`."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree as ET

import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.campaign.command import campaign as command
from chaos.campaign.junit import campaign_junit
from chaos.campaign.options import CampaignOptions
from chaos.campaign.page import campaign_page
from chaos.campaign.result import Recovery, result_of
from chaos.campaign.state import Campaign, CampaignDir
from chaos.campaign.tables import TABLES
from chaos.campaign.text import final_text
from chaos.cli.main import main
from chaos.record.run_list import RunList
from tests.campaign.standin import Standin, begun, make

FAULTS = ("none", "llm_timeout")


def made(root: Path, words: dict[int, list[str]], seeds: str = "2") -> tuple[CampaignDir, Campaign]:
    """Two runs a seed: a clean one, and one under `llm_timeout`."""
    folder, campaign = begun(root, seeds, *FAULTS)
    make(folder, campaign, Standin(words))
    return folder, campaign


@pytest.mark.parametrize(
    ("words", "code", "headline"),
    [
        ([], ExitCode.PASS, "PASS"),
        (["unverified"], ExitCode.INCONCLUSIVE, "NOT PROVEN"),
        (["unverified", "invalid", "invalid", "invalid"], ExitCode.INVALID, "NOT PROVEN"),
        (["fail", "invalid", "invalid", "invalid"], ExitCode.FAIL, "FAIL"),
    ],
)
def test_the_worst_run_decides(
    tmp_path: Path, words: list[str], code: ExitCode, headline: str
) -> None:
    result = result_of(*made(tmp_path, {1: words}))
    assert (result.exit_code, result.word) == (code, headline)


def test_findings_by_fault_have_only_what_did_not_pass(tmp_path: Path) -> None:
    folder, campaign = made(tmp_path, {1: ["pass", "fail"], 2: ["pass", "pass"]})
    result = result_of(folder, campaign)
    ((title, cells),) = result.matrix
    assert title == "First in, first out"
    assert {fault: cell.counts for fault, cell in cells.items()} == {"llm_timeout": {"fail": 1}}
    text = final_text(folder, result, 1, "")
    assert "llm_timeout: 1 fail of 1" in text and "✗ FAIL  1 fail, 3 pass  (exit 1)" in text
    healthy = result_of(*made(tmp_path / "healthy", {}))
    assert healthy.matrix == [] and healthy.worst == []


def test_recovery_has_the_strikes_of_each_kind(tmp_path: Path) -> None:
    (recovery,) = result_of(*made(tmp_path, {})).recoveries
    assert recovery == Recovery("llm_timeout", (0.5, 0.5), 0)
    many = Recovery("x", tuple(float(n) for n in range(1, 11)), 0)
    assert (many.median_s, many.p90_s) == (5.5, 9.0)
    assert Recovery("x", (3.0,), 0).p90_s == 3.0


def test_junit_fails_only_for_proof_and_never_shows_a_missing_run_as_passed(tmp_path: Path) -> None:
    folder, campaign = begun(tmp_path, "5")
    make(folder, campaign, Standin({1: ["fail"], 2: ["unverified"], 3: ["invalid"] * 3}))
    attempt = folder.attempts(4) / "1"
    attempt.rename(tmp_path / "lost")
    suite = ET.fromstring(campaign_junit(result_of(folder, campaign)))[0]
    tags = [[child.tag for child in case] for case in suite.iter("testcase")]
    assert tags == [["failure"], ["error"], ["error"], ["error"], []]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "3")


def test_the_page_has_matrix_recovery_and_a_link_to_each_run(tmp_path: Path) -> None:
    folder, campaign = made(tmp_path, {1: ["pass", "fail"]})
    page = campaign_page(folder, result_of(folder, campaign))
    assert "First in, first out" in page and "1 fail of 1" in page
    assert page.count('<circle cx="600.0"') == 2  # both strikes took the longest time
    assert all(f'href="runs/0000{n}/1"' in page for n in (1, 2, 3, 4))
    assert campaign.entries[1].command in page
    assert str(tmp_path) not in page.replace(campaign.entries[1].command, "")


@pytest.mark.slow(seconds=1)
def test_sql_asks_all_runs_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = made(tmp_path, {1: ["invalid", "pass", "fail"]})

    def asked(query: str) -> list[dict[str, object]]:
        assert main(["sql", str(folder.path), query, "--json"]) == ExitCode.PASS
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    assert asked("select run, verdict, attempts from runs order by run") == [
        {"run": 1, "verdict": "pass", "attempts": 2},
        {"run": 2, "verdict": "fail", "attempts": 1},
        {"run": 3, "verdict": "pass", "attempts": 1},
        {"run": 4, "verdict": "pass", "attempts": 1},
    ]
    assert asked("select run, attempt, counts from attempts where run = 1 order by attempt") == [
        {"run": 1, "attempt": 1, "counts": False},
        {"run": 1, "attempt": 2, "counts": True},
    ]
    assert asked("select run, title from findings where outcome = 'fail'") == [
        {"run": 2, "title": "First in, first out"}
    ]
    assert asked("select distinct name, recovery_s from faults") == [
        {"name": "llm_timeout", "recovery_s": 0.5}
    ]
    for table in TABLES:
        (row,) = asked(f"select * from {table.name} limit 1")
        assert list(row) == [column.name for column in table.columns]
        assert next(iter(row)) == "run"
    assert main(["sql", str(folder.path), "delete from runs"]) == ExitCode.USAGE
    assert "only one `select`" in capsys.readouterr().err
    words = ["sql", "campaign/latest", "select 1", "--runs", str(tmp_path)]
    assert main(words) == ExitCode.PASS
    assert main(["sql", "campaign/nothing", "select 1", "--runs", str(tmp_path)]) == ExitCode.USAGE


def test_the_command_makes_shows_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    standin = Standin({2: ["fail"]})
    with (
        mock.patch("chaos.campaign.loop.make_run", standin),
        mock.patch("chaos.campaign.loop.write_page"),
        mock.patch("chaos.campaign.command.ensure"),  # the assets of real runs
    ):
        options = CampaignOptions(soak=["soak_c"], seeds="3", slots=1, runs=tmp_path)
        assert command(options) == ExitCode.FAIL
        out = capsys.readouterr().out
        assert "[1/3, 1 slots, about" in out and "[3/3, 1 slots, the last one]" in out
        assert "fail             2  soak_c under none, seed 2: First in, first out" in out
        again = CampaignOptions(resume="latest", slots=1, runs=tmp_path, json=True)
        assert command(again) == ExitCode.FAIL
        printed = capsys.readouterr()
        content = json.loads(printed.out)
        assert "0 runs" in printed.err
        assert (content["word"], content["exit_code"]) == ("FAIL", 1)
        assert [run["verdict"] for run in content["runs"]] == ["pass", "fail", "pass"]
        quiet = CampaignOptions(resume="latest", runs=tmp_path, quiet=True)
        assert command(quiet) == ExitCode.FAIL
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("FAIL: 1 fail, 2 pass, exit 1 | ")
        with pytest.raises(UsageError, match="goes on as it began"):
            command(CampaignOptions(resume="latest", runs=tmp_path, seeds="4"))
    assert standin.made == [1, 2, 3]
    (folder,) = (tmp_path / "campaign").iterdir()
    assert {path.name for path in folder.iterdir()} >= {"campaign.html", "junit.xml", "runs"}
    runs = RunList(tmp_path)
    (entry,) = runs.read().batches
    assert (entry.word, entry.ended, entry.counts) == ("FAIL", True, {"fail": 1, "pass": 2})
    assert (entry.of, entry.asked) == ("reference", "3 runs: soak_c")
    assert [run.word for run in runs.runs_of(entry.id)] == ["pass", "fail", "pass"]


def test_what_a_run_left_behind_is_the_answer_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    standin = Standin({1: ["fail"], 2: ["left"]})
    with (
        mock.patch("chaos.campaign.loop.make_run", standin),
        mock.patch("chaos.campaign.loop.write_page"),
        mock.patch("chaos.campaign.command.ensure"),  # the assets of real runs
    ):
        options = CampaignOptions(soak=["soak_c"], seeds="4", slots=1, runs=tmp_path)
        assert command(options) == ExitCode.CLEANUP_INCOMPLETE
        out = capsys.readouterr().out
        assert "run 2 left something behind: chaos clean" in out and "3 not made" in out
        again = CampaignOptions(resume="latest", slots=1, runs=tmp_path)
        assert command(again) == ExitCode.FAIL
    assert "run 2 had ended already: kept" in capsys.readouterr().out
    assert standin.made == [1, 2, 3, 4]


@pytest.mark.parametrize("slots", [0, 257])
def test_slots_out_of_range_are_refused(slots: int) -> None:
    with pytest.raises(UsageError, match="out of range"):
        command(CampaignOptions(soak=["soak_c"], slots=slots))
