"""One pair of real runs: both have one schedule, are scored from their records, and are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.compare.state import find_compare
from tests.integration.command import chaos


@pytest.mark.whole_run
@pytest.mark.stack
@pytest.mark.slow(seconds=200)
def test_the_reference_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    words = ("compare", "reference", "reference", "--profile", "batch", "--pairs-max", "1")
    done = chaos(tmp_path, *words, "--seed", "7", "--json")
    assert done.exit_code == 3, done.text
    content = json.loads(done.stdout)
    assert (content["counted"], content["mean_difference"]) == (1, 0.0), done.text
    folder = find_compare("latest", tmp_path)
    (pair,) = folder.read().pairs
    for arm in (pair.base, pair.candidate):
        assert arm is not None and (arm.score.value, arm.score.strikes) == (1.0, 1)
        schedule = json.loads((folder.path / arm.run / "schedule.json").read_text())
        assert schedule["hash"] == pair.schedule_hash
