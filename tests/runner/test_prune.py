"""Old runs are removed; never one that goes on, nor one with something to undo."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from chaos.record.run_list import RunList
from chaos.runner.prune import choose
from tests.record.runs_folder import (
    add_campaign,
    add_comparison,
    add_gate,
    add_run,
    add_sweep,
    make_running,
    verdict,
)


def five(root: Path, soak: str = "soak_c") -> list[Path]:
    """Five judged runs, oldest first."""
    names = [f"{soak}/2026020{n}-101500-s7-aaaa" for n in range(1, 6)]
    return [add_run(root, name, verdict()) for name in names]


def chosen(
    root: Path, keep: int, *, gates: bool = False, batches: bool = False
) -> tuple[set[str], dict[str, str]]:
    """(names of what goes, name -> reason of what stays although it is old)."""
    choice = choose(RunList(root).read(), root, keep, gates=gates, batches=batches)
    names = {str(victim.path.relative_to(root)) for victim in choice.victims}
    return names, {path.name: why for path, why in choice.kept}


def test_the_newest_of_each_soak_stay(tmp_path: Path) -> None:
    five(tmp_path), five(tmp_path, "soak_a")
    gone, _ = chosen(tmp_path, 3)
    assert (
        sorted(name.partition("/")[2][:8] for name in gone) == ["20260201"] * 2 + ["20260202"] * 2
    )


def test_what_goes_on_or_is_unclean_stays_and_does_not_count(tmp_path: Path) -> None:
    runs = five(tmp_path)
    open_entry = {"entry": "open", "fault_id": "f001", "name": "x", "scope": "host", "undo": {}}
    make_running(runs[0])
    (runs[1] / "ledger.jsonl").write_text(json.dumps(open_entry) + "\n")
    (runs[2] / "workspace").mkdir()
    (runs[4] / "containers.json").write_text("{}")
    gone, kept = chosen(tmp_path, 1)
    assert gone == set()  # the fourth is the one to keep
    assert [why.partition(":")[0] for _, why in sorted(kept.items())] == [
        "it goes on",
        "its clean-up is open",
        "its clean-up is open",
        "its clean-up is open",
    ]


def test_a_damaged_ledger_or_owner_keeps_the_run(tmp_path: Path) -> None:
    runs = five(tmp_path)
    (runs[0] / "ledger.jsonl").write_text("garbage\n")
    (runs[1] / "owner.json").write_text("garbage")
    gone, kept = chosen(tmp_path, 1)
    assert gone == {f"soak_c/{run.name}" for run in runs[2:4]}
    assert set(kept) == {runs[0].name, runs[1].name}


def test_a_closed_ledger_does_not_keep_a_run(tmp_path: Path) -> None:
    runs = five(tmp_path)
    lines = [
        {"entry": "open", "fault_id": "f001", "name": "x", "scope": "stack", "undo": {}},
        {"entry": "closed", "fault_id": "f001", "why": "recovery proven"},
    ]
    (runs[0] / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    gone, kept = chosen(tmp_path, 4)
    assert (gone, kept) == ({f"soak_c/{runs[0].name}"}, {})


def test_gates_and_their_runs_stay_unless_asked_for(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        runs = {f"soak_c/2026020{day}-00000{n}-s7-aaaa": "pass" for n in range(3)}
        add_gate(tmp_path, f"2026020{day}-000000-s7-bbbb", runs)
    assert chosen(tmp_path, 1) == (set(), {})
    gone, _ = chosen(tmp_path, 1, gates=True)
    assert gone == {f"gate/2026020{day}-000000-s7-bbbb" for day in (1, 2)}


def test_a_gate_that_goes_on_stays(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        folder = add_gate(tmp_path, f"2026020{day}-000000-s7-bbbb", {})
        if day == 1:
            lock = (folder / "gate.lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if day == 2:
            content = json.loads((folder / "gate.json").read_text())
            (folder / "gate.json").write_text(
                json.dumps({**content, "state": "interrupted", "verdict": None})
            )
    with lock:
        gone, kept = chosen(tmp_path, 1, gates=True)
    assert gone == set()
    assert kept == {
        "20260201-000000-s7-bbbb": "it goes on",
        "20260202-000000-s7-bbbb": "it is not finished: chaos gate --resume",
    }


def test_removing_follows_no_link_and_tells_the_size(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    runs = five(root)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("stays")
    (runs[0] / "way").symlink_to(tmp_path / "outside")
    (runs[0] / "big").write_bytes(b"x" * 1000)
    (victim,) = choose(RunList(root).read(), root, 4, gates=False).victims
    assert victim.path == runs[0]
    assert 1000 < victim.bytes < 10_000
    assert victim.removed() == ""
    assert not runs[0].exists()
    assert (tmp_path / "outside" / "file").read_text() == "stays"


def test_a_run_that_begins_after_it_was_chosen_stays(tmp_path: Path) -> None:
    runs = five(tmp_path)
    (victim,) = choose(RunList(tmp_path).read(), tmp_path, 4, gates=False).victims
    make_running(runs[0])
    assert victim.removed() == "it goes on"
    assert runs[0].is_dir()


def test_a_run_replaced_by_a_link_stays(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    runs = five(root)
    (victim,) = choose(RunList(root).read(), root, 4, gates=False).victims
    runs[0].rename(tmp_path / "elsewhere")
    runs[0].symlink_to(tmp_path / "elsewhere")
    assert victim.removed() != ""
    assert (tmp_path / "elsewhere" / "verdict.json").is_file()


def test_the_link_to_the_newest_run_is_no_run(tmp_path: Path) -> None:
    runs = five(tmp_path)
    (tmp_path / "soak_c" / "latest").symlink_to(runs[-1].name)
    gone, _ = chosen(tmp_path, 1)
    assert gone == {f"soak_c/{run.name}" for run in runs[:4]}


def sweeps_of(root: Path, days: int) -> list[Path]:
    """Finished sweeps, oldest first."""
    names = [f"sweep/2026020{day}-000000-s7-cccc" for day in range(1, days + 1)]
    return [add_sweep(root, name, "survived", "failed") for name in names]


def test_sweeps_go_as_a_whole_and_only_when_asked_for(tmp_path: Path) -> None:
    sweeps = sweeps_of(tmp_path, 3)
    assert chosen(tmp_path, 1) == (set(), {})
    gone, kept = chosen(tmp_path, 1, batches=True)
    assert (gone, kept) == ({f"sweep/{path.name}" for path in sweeps[:2]}, {})
    choice = choose(RunList(tmp_path).read(), tmp_path, 1, batches=True)
    assert [len(victim.runs) for victim in choice.victims] == [2, 2]
    assert [victim.removed() for victim in choice.victims] == ["", ""]
    assert [path.is_dir() for path in sweeps] == [False, False, True]


def test_a_sweep_that_goes_on_is_unfinished_or_unclean_stays(tmp_path: Path) -> None:
    sweeps = sweeps_of(tmp_path, 5)
    add_sweep(tmp_path, f"sweep/{sweeps[0].name}2", "survived", state="interrupted")
    (run, _) = sorted((sweeps[1] / "sweep_point").iterdir())
    (run / "ledger.jsonl").write_text("garbage\n")
    with (sweeps[2] / "sweep.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gone, kept = chosen(tmp_path, 1, batches=True)
    assert gone == {f"sweep/{sweeps[n].name}" for n in (0, 3)}
    assert kept[f"{sweeps[0].name}2"] == "it is not finished: chaos sweep --resume"
    assert kept[sweeps[2].name] == "it goes on"
    assert sweeps[1].name in kept


def test_the_newest_of_each_noun_stay(tmp_path: Path) -> None:
    for day in (1, 2):
        add_comparison(tmp_path, f"2026020{day}-000000-s7-cccc", word="BLOCK")
        campaign = add_campaign(tmp_path, f"2026020{day}-000000-s7-dddd", "pass", left=day - 1)
        content = {"word": "PASS", "of": "mine", "asked": "1 run", "counts": {"pass": 1}}
        if day == 1:
            (campaign / "result.json").write_text(json.dumps(content))
    gone, kept = chosen(tmp_path, 1, batches=True)
    assert gone == {"compare/20260201-000000-s7-cccc"}
    assert kept == {"20260202-000000-s7-dddd": "it is not finished: chaos campaign --resume"}


def test_the_sweep_of_a_gate_goes_with_its_gate(tmp_path: Path) -> None:
    for day in (1, 2):
        gate = f"2026020{day}-000000-s7-bbbb"
        add_gate(tmp_path, gate, {})
        add_sweep(tmp_path, f"gate/{gate}/sweep/2026020{day}-000001-s7-cccc", "survived")
    assert chosen(tmp_path, 1, batches=True) == (set(), {})
    assert chosen(tmp_path, 1, gates=True)[0] == {"gate/20260201-000000-s7-bbbb"}
    run = next((tmp_path / "gate/20260201-000000-s7-bbbb/sweep").glob("*/sweep_point/*"))
    (run / "workspace").mkdir()
    gone, kept = chosen(tmp_path, 1, gates=True)
    assert gone == set()
    assert "clean-up is open" in kept["20260201-000000-s7-bbbb"]
