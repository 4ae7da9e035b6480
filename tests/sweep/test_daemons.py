"""Sweeps on the real stack: sound daemons survive, and ten defects are found at their points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.command import chaos

DAEMON = Path(__file__).with_name("daemon")
SQLITE = Path(__file__).with_name("sqlite_daemon")
ERROR = "ENOSPC"
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
            ("trusts_lock", "crash_all", "unlink child.lock", "Request queue"),
            ("swallows_error", "error", "fsync decisions.jsonl", "Exactly once"),
            ("publishes_empty", "error", "fsync out/.sweep_piece", "Published"),
            ("ends_silently", "error", "rename archive/", "Watcher alive: it ended at an error"),
        )
    ),
]
# Power takes whatever crash_all does: it is left out beside a defect that crash_all finds.
LEFT_ALONE = [
    ("trusts_lock", "crash,error"),
    ("swallows_error", "crash,crash_all,power"),
    ("publishes_empty", "crash,crash_all,power"),
    ("ends_silently", "crash,crash_all,power"),
]


def _target(folder: Path, defect: str) -> Path:
    text = (DAEMON / "target.yaml").read_text(encoding="utf-8")
    text = text.replace("worker.py]}\nwork:", f"worker.py, {defect}]}}\nwork:") if defect else text
    text = text.replace("source: worker.py", f"source: {DAEMON / 'worker.py'}")
    (folder / "daemon.yaml").write_text(text, encoding="utf-8")
    return folder / "daemon.yaml"


Shown = dict[tuple[str, str], list[str]]


def _swept(folder: Path, target: Path, *words: str) -> tuple[int, Shown]:
    """(exit code, (kind, 'call path nth') of each break -> outcome and findings)."""
    given = ("--seed", "7", "--jobs", "2", "--error", ERROR, "--json")
    done = chaos(folder / "runs", "sweep", str(target), *given, *words)
    assert done.stdout, done.text
    sweep = json.loads(done.stdout)
    places = {p["number"]: f"{p['call']} {p['path']} {p['nth']}" for p in sweep["points"]}
    return done.exit_code, {
        (r["kind"], places[r["point"]]): [r["outcome"], *r["findings"]] for r in sweep["results"]
    }


def _all_survived(code: int, shown: Shown) -> None:
    assert shown
    assert {place: rest for place, rest in shown.items() if rest[0] != "survived"} == {}
    assert code == 0


@pytest.mark.parametrize(("defect", "kind", "point", "finding"), FOUND)
def test_a_defect_of_crash_consistency_is_found_at_its_point(
    defect: str, kind: str, point: str, finding: str, tmp_path: Path
) -> None:
    code, shown = _swept(tmp_path, _target(tmp_path, defect), "--kind", kind)
    failed = {place: rest for (_, place), (outcome, *rest) in shown.items() if outcome == "failed"}
    assert code == 1
    (place,) = [place for place in failed if place.startswith(point)]
    assert any(text.startswith(finding) for text in failed[place]), failed[place]
    others = set(failed) - {place}
    assert len(others) <= len(shown) // 2, f"it is found everywhere: {shown}"


@pytest.mark.long
@pytest.mark.parametrize(("defect", "kinds"), LEFT_ALONE)
def test_a_defect_is_left_alone_by_the_kinds_that_cannot_show_it(
    defect: str, kinds: str, tmp_path: Path
) -> None:
    _all_survived(*_swept(tmp_path, _target(tmp_path, defect), "--kind", kinds))


@pytest.mark.long
@pytest.mark.parametrize("habit", ["", "child"])
@pytest.mark.parametrize("kind", ["crash", "crash_all", "power", "error"])
def test_a_sound_protocol_survives_every_point(kind: str, habit: str, tmp_path: Path) -> None:
    """At an error it ends with a word, and is started again."""
    _all_survived(*_swept(tmp_path, _target(tmp_path, habit), "--kind", kind))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["crash", "crash_all", "power", "error"])
def test_a_daemon_with_its_work_in_a_database_survives_every_point(
    kind: str, tmp_path: Path
) -> None:
    _all_survived(*_swept(tmp_path, SQLITE / "target.yaml", "--kind", kind))


@pytest.mark.whole_run
def test_a_daemon_with_its_work_in_a_database_survives_two_points(tmp_path: Path) -> None:
    words = ("--kind", "error,power", "--points", "2")
    _all_survived(*_swept(tmp_path, SQLITE / "target.yaml", *words))


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
    code, shown = _swept(tmp_path, _target(tmp_path, ""), "--points", "1", "--kind", "crash")
    assert (code, len(shown)) == (0, 1)
    again = chaos(tmp_path / "runs", "sweep", "--resume", "latest", "--json")
    sweep = json.loads(again.stdout)
    assert again.exit_code == 0
    assert len(sweep["results"]) == 1 and sweep["state"] == "complete"
