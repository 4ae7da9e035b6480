"""The plan of a campaign: its order, and a mistake in it reported before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.shipped import EXPERIMENTS
from chaos.campaign.asked import planned
from chaos.campaign.command import campaign
from chaos.campaign.options import CampaignOptions
from chaos.campaign.state import request_of
from chaos.plan.schedule import draw
from chaos.runner.resolve import resolve

FILE = """\
soaks: [soak_b, soak_c]
faults:
  - none
  - llm_timeout
seeds: [3, 17]
profile: quick
set: {storm_s: 90}
"""


def file_of(folder: Path, text: str = FILE) -> CampaignOptions:
    path = folder / "nightly.yaml"
    path.write_text(text)
    return CampaignOptions(words=[str(path)])


def test_a_file_gives_every_combination_with_seeds_outermost(tmp_path: Path) -> None:
    common, entries = planned(file_of(tmp_path))
    assert [(e.index, e.seed, e.soak, e.fault) for e in entries] == [
        (1, 3, "soak_b", "none"),
        (2, 3, "soak_b", "llm_timeout"),
        (3, 3, "soak_c", "none"),
        (4, 3, "soak_c", "llm_timeout"),
        (5, 17, "soak_b", "none"),
        (6, 17, "soak_b", "llm_timeout"),
        (7, 17, "soak_c", "none"),
        (8, 17, "soak_c", "llm_timeout"),
    ]
    plan = resolve(request_of(entries[3], common))
    assert (plan.profile.storm_s, plan.seed) == (90.0, 3)
    assert entries[3].schedule_hash == draw(plan).hash
    assert entries[3].command == plan.reproduce
    assert len({entry.plan_digest for entry in entries}) == 8


def test_options_give_the_same_plan_as_a_file(tmp_path: Path) -> None:
    options = CampaignOptions(
        soak=["soak_b", "soak_c"],
        fault=["none", "llm_timeout"],
        seeds="3,17",
        profile="quick",
        set=["storm_s=90"],
    )
    assert planned(options) == planned(file_of(tmp_path))


def test_a_number_of_seeds_counts_from_1() -> None:
    _, entries = planned(CampaignOptions(soak=["soak_c"], seeds="3"))
    assert [(e.seed, e.fault) for e in entries] == [(1, "none"), (2, "none"), (3, "none")]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("llm_timeout", "llm_timeot", "nightly.yaml:4 faults[1]"),
        ("soak_c]", "soak_z]", "nightly.yaml:1 soaks[1]"),
        ("profile: quick", "profile: quik", "nightly.yaml:6 profile"),
        ("storm_s: 90", "storms: 90", "nightly.yaml:7 set.storms"),
        ("storm_s: 90", "storm_s: 3", "nightly.yaml:4 faults[1]"),
        ("[3, 17]", "0", "nightly.yaml:5 seeds"),
        ("[3, 17]", "[3, -1]", "nightly.yaml:5 seeds"),
        ("[3, 17]", "9999", "nightly.yaml:5 seeds"),
        ("profile: quick", "targets: [nobody]", "nightly.yaml:6 targets[0]"),
        ("profile: quick", "profil: quick", "nightly.yaml:6 profil"),
    ],
)
def test_a_mistake_in_the_file_has_its_line(tmp_path: Path, old: str, new: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(file_of(tmp_path, FILE.replace(old, new)))
    assert caught.value.place.endswith(place)
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({}, "chaos campaign"),
        ({"soak": ["soak_c"], "seeds": "x"}, "--seeds"),
        ({"soak": ["soak_c"], "fault": ["llm_timeot"]}, "--fault"),
        ({"words": ["FILE"], "soak": ["soak_c"]}, "--soak"),
        ({"words": ["FILE", "other"]}, "other"),
    ],
)
def test_a_mistake_in_the_options_names_the_option(
    tmp_path: Path, options: dict[str, list[str]], place: str
) -> None:
    path = str(file_of(tmp_path).words[0])
    options = {
        key: [path if word == "FILE" else word for word in value] if key == "words" else value
        for key, value in options.items()
    }
    with pytest.raises(UsageError) as caught:
        planned(CampaignOptions(**options))
    assert caught.value.place == place


def test_no_soak_can_have_the_name_of_the_folder_of_campaigns(tmp_path: Path) -> None:
    text = (EXPERIMENTS / "soak_c.yaml").read_text()
    path = tmp_path / "campaign.yaml"
    path.write_text(text.replace("soak: soak_c\n", "soak: campaign\n"))
    with pytest.raises(UsageError, match="means something else"):
        planned(CampaignOptions(soak=[str(path)]))
    path.write_text(text.replace("soak: soak_c\n", "soak: campaigns\n"))
    assert len(planned(CampaignOptions(soak=[str(path)]))[1]) == 1


def test_a_dry_run_stores_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = file_of(tmp_path)
    options.runs, options.dry_run, options.shard = tmp_path / "runs", True, "2/3"
    assert campaign(options) == ExitCode.PASS
    out = capsys.readouterr().out
    assert "3 runs" in out and "llm_timeout, seed 3" in out
    assert not (tmp_path / "runs").exists()
