"""The bootstrap writes the plan's history, and does not replace an existing one."""

from __future__ import annotations

import json
from pathlib import Path

import bootstrap_history
import pytest
from prng_registry import java_lcg


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_history_is_the_one_in_the_plan(here: Path) -> None:
    """5000 draws of java_lcg 12345 mod 1000, two a day from 2024-01-01."""
    assert bootstrap_history.main([]) == 0
    draws = json.loads((here / "lottery_history.json").read_text())["draws"]
    assert [draw["value"] for draw in draws] == [raw % 1000 for raw in java_lcg(12345, 5000)]
    assert draws[0] == {
        "date": "2024-01-01",
        "session": "midday",
        "draw": [2, 5, 1],
        "value": 251,
        "draw_source": "synthetic_bootstrap",
        "true_seed": 12345,
    }
    assert (draws[1]["date"], draws[1]["session"]) == ("2024-01-01", "evening")
    assert (draws[2]["date"], draws[2]["session"]) == ("2024-01-02", "midday")
    policies = json.loads((here / "watcher_policies.json").read_text())
    assert policies["test_mode"] is True
    assert policies["synthetic_injection"]["true_seed"] == 12345
    window = json.loads((here / "optimal_window_config.json").read_text())
    assert window == {"prng_type": "java_lcg", "mod": 1000, "bootstrap": True}


def test_a_second_bootstrap_changes_nothing(here: Path) -> None:
    """An existing history stays, until --force."""
    bootstrap_history.main([])
    grown = here / "lottery_history.json"
    grown.write_text('{"draws": []}')
    assert bootstrap_history.main([]) == 0
    assert grown.read_text() == '{"draws": []}'
    assert bootstrap_history.main(["--force"]) == 0
    assert len(json.loads(grown.read_text())["draws"]) == 5000


def test_existing_policies_are_not_changed(here: Path) -> None:
    """Policies belong to the user."""
    (here / "watcher_policies.json").write_text('{"test_mode": false}')
    bootstrap_history.main(["--draws", "10"])
    assert (here / "watcher_policies.json").read_text() == '{"test_mode": false}'


def test_no_temporary_file_remains(here: Path) -> None:
    bootstrap_history.main([])
    assert sorted(path.name for path in here.iterdir()) == [
        "lottery_history.json",
        "optimal_window_config.json",
        "watcher_policies.json",
    ]
