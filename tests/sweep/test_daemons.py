"""Sweeps on the real stack: a sound daemon survives, and six defects are found at their points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.command import chaos

DAEMON = Path(__file__).with_name("daemon")
pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=60)]
# Defect, kind of break, the point at which it shows, and what is found there.
FOUND = [
    pytest.param(
        "log_before_archive",
        "crash",
        "rename archive/",
        "Exactly once",
        marks=pytest.mark.whole_run,
    ),
    pytest.param("no_fsync", "power", "rename archive/", "Published", marks=pytest.mark.whole_run),
    *(
        pytest.param(*case, marks=pytest.mark.long)
        for case in (
            ("archive_in_two_steps", "crash", "fsync archive/.", ""),
            ("write_in_place", "power", "rename archive/", "Published"),
            ("claim_by_copy", "crash", "unlink inbox/", "Exactly once"),
            ("folder_not_synced", "power", "rename archive/", "Published"),
        )
    ),
]


def _target(folder: Path, defect: str) -> Path:
    text = (DAEMON / "target.yaml").read_text(encoding="utf-8")
    text = text.replace("worker.py]}\nwork:", f"worker.py, {defect}]}}\nwork:") if defect else text
    text = text.replace("source: worker.py", f"source: {DAEMON / 'worker.py'}")
    (folder / "daemon.yaml").write_text(text, encoding="utf-8")
    return folder / "daemon.yaml"


def _swept(folder: Path, defect: str, *words: str) -> tuple[int, dict[str, list[str]]]:
    """(exit code, 'call path' of each point -> outcome and findings)."""
    target = str(_target(folder, defect))
    done = chaos(folder / "runs", "sweep", target, "--seed", "7", "--json", *words)
    sweep = json.loads(done.stdout)
    paths = {point["number"]: f"{point['call']} {point['path']}" for point in sweep["points"]}
    shown = {paths[r["point"]]: [r["outcome"], *r["findings"]] for r in sweep["results"]}
    return done.exit_code, shown


@pytest.mark.parametrize(("defect", "kind", "point", "finding"), FOUND)
def test_a_defect_of_crash_consistency_is_found_at_its_point(
    defect: str, kind: str, point: str, finding: str, tmp_path: Path
) -> None:
    code, shown = _swept(tmp_path, defect, "--kind", kind)
    failed = {place: rest for place, (outcome, *rest) in shown.items() if outcome == "failed"}
    assert code == 1
    (place,) = [place for place in failed if place.startswith(point)]
    assert any(text.startswith(finding) for text in failed[place])
    others = set(failed) - {place}
    assert len(others) <= len(shown) // 2, f"it is found everywhere: {shown}"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["crash", "crash_all", "power", "error"])
def test_a_sound_protocol_survives_every_point(kind: str, tmp_path: Path) -> None:
    code, shown = _swept(tmp_path, "", "--kind", kind, "--error", "EIO")
    assert {outcome for outcome, *_ in shown.values()} == {"survived"}, shown
    assert code == 0


@pytest.mark.whole_run
def test_the_reference_watcher_survives_a_point(tmp_path: Path) -> None:
    words = ("--work", "selfplay", "--points", "1", "--seed", "7", "--json")
    done = chaos(tmp_path / "runs", "sweep", *words)
    assert done.exit_code == 0, done.text
    sweep = json.loads(done.stdout)
    assert len(sweep["points"]) > 20
    assert [result["outcome"] for result in sweep["results"]] == ["survived"]


@pytest.mark.whole_run
def test_a_sample_goes_on_after_it_was_interrupted(tmp_path: Path) -> None:
    """A sweep is kept after each run; --resume makes only what is left."""
    code, shown = _swept(tmp_path, "", "--points", "1", "--kind", "crash")
    assert (code, len(shown)) == (0, 1)
    again = chaos(tmp_path / "runs", "sweep", "--resume", "latest", "--json")
    sweep = json.loads(again.stdout)
    assert again.exit_code == 0
    assert len(sweep["results"]) == 1 and sweep["state"] == "complete"
