"""Parts of a campaign: together they are the whole, in whatever order they are named."""

from __future__ import annotations

import hashlib
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.campaign.asked import parsed_shard
from chaos.campaign.attempts import ATTEMPT
from chaos.campaign.command import campaign as command
from chaos.campaign.merge import merge
from chaos.campaign.options import CampaignOptions
from chaos.campaign.result import result_of
from chaos.campaign.state import CampaignDir
from chaos.campaign.text import final_text
from tests.campaign.standin import Standin, begun, make, words_of


def four_parts(root: Path, *, words: dict[int, list[str]]) -> list[CampaignDir]:
    parts = []
    for number in (1, 2, 3, 4):
        folder, part = begun(root / str(number), "10", shard=(number, 4))
        make(folder, part, Standin(words))
        parts.append(folder)
    return parts


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_each_run_is_in_exactly_one_part(tmp_path: Path) -> None:
    _, whole = begun(tmp_path, "10")
    shares = []
    for number in (1, 2, 3, 4):
        _, part = begun(tmp_path / str(number), "10", shard=(number, 4))
        assert part.plan == whole.plan
        shares += [entry.index for entry in part.share]
    assert sorted(shares) == [entry.index for entry in whole.share] == list(range(1, 11))


@pytest.mark.slow(seconds=6)
def test_the_order_of_the_parts_changes_no_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = four_parts(tmp_path, words={3: ["fail"], 5: ["invalid", "pass"]})
    # The second run was made in another part as well, and came to another verdict there.
    twice, part = begun(tmp_path / "5", "10", shard=(2, 10))
    make(twice, part, Standin({2: ["fail"]}))
    parts[3].attempts(2).parent.mkdir(exist_ok=True)
    twice.attempts(2).rename(parts[3].attempts(2))
    results = []
    for number, order in enumerate(permutations(parts)):
        to = tmp_path / f"merged{number}"
        words = ["merge", *(str(one.path) for one in order)]
        assert command(CampaignOptions(words=words, to=to, quiet=True)) == ExitCode.FAIL
        results.append(bytes_of(to))
    assert len(results) == 24
    assert all(result == results[0] for result in results)
    assert {"campaign.json", "campaign.html", "junit.xml"} < results[0].keys()
    merged = CampaignDir(tmp_path / "merged0")
    whole = merged.read()
    assert whole.shard is None
    assert words_of(merged, whole)[2] == ["pass", "fail"]  # in the order in which they ended
    assert words_of(merged, whole)[5] == ["invalid", "pass"]
    result = result_of(merged, whole)
    assert [row.entry.index for row in result.disagreeing] == [2]
    assert result.rows[1].word == "pass"  # the first complete one
    assert result.counts == {"fail": 1, "pass": 9}
    assert "attempts disagree: run 2" in final_text(merged, result, 1, "")
    assert "run 2 disagree" in merged.page.read_text()
    assert capsys.readouterr().out.count("FAIL") == 24


def test_the_same_attempt_in_two_parts_is_one(tmp_path: Path) -> None:
    (one, *rest) = four_parts(tmp_path, words={})
    merged, whole = merge([one, one, *rest, rest[0]], tmp_path / "all")
    assert words_of(merged, whole) == {n: ["pass"] for n in range(1, 11)}
    assert result_of(merged, whole).disagreeing == []


def test_a_missing_part_is_no_pass(tmp_path: Path) -> None:
    parts = four_parts(tmp_path, words={})
    result = result_of(*merge(parts[1:], tmp_path / "all"))
    assert (result.exit_code, result.word) == (ExitCode.INCONCLUSIVE, "NOT FINISHED")
    assert result.counts == {"not made": 3, "pass": 7}


def test_what_cannot_be_merged_is_refused(tmp_path: Path) -> None:
    one, _ = begun(tmp_path / "1", "2")
    other, _ = begun(tmp_path / "2", "3")
    with pytest.raises(UsageError, match="not a part of the same campaign"):
        merge([one, other], tmp_path / "all")
    assert not (tmp_path / "all").exists()
    with pytest.raises(UsageError, match="is there already"):
        merge([one], tmp_path / "2")
    with pytest.raises(UsageError, match="where to"):
        command(CampaignOptions(words=["merge", str(one.path)]))


def test_a_verdict_that_differs_from_its_summary_is_another_attempt(tmp_path: Path) -> None:
    """Two copies of one attempt, of which one was judged again, are told apart."""
    one, campaign = begun(tmp_path / "1", "1")
    make(one, campaign, Standin())
    merged, _ = merge([one], tmp_path / "copy")
    place = merged.attempts(1) / "1"
    attempt = msgspec.json.decode((place / ATTEMPT).read_bytes())
    (place / ATTEMPT).write_bytes(msgspec.json.encode({**attempt, "verdict": "fail"}))
    both = [
        merge(parts, tmp_path / name)
        for parts, name in (([one, merged], "a"), ([merged, one], "b"))
    ]
    assert [sorted(words_of(*each)[1]) for each in both] == [["fail", "pass"]] * 2
    assert words_of(*both[0]) == words_of(*both[1])


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/9999"])
def test_a_part_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no part"):
        parsed_shard(text)
    assert parsed_shard("3/3") == (3, 3)
