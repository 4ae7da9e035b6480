"""Files of a run, a gate or a workspace that were damaged: one message that names the file and the
next step, exit 4 (of a gate that cannot go on: 2), never a traceback.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.record.rundir import RunDir
from tests.checks.history_builder import PlantedRun

DEEP = "[" * 100_000 + "]" * 100_000
EVENT = '{"kind":"event","t_s":1.0,"name":"ready","detail":{"x":%s}}\n'
SAMPLE = '{"kind":"sample","t_s":1.0,"values":{"x":%s}}\n'


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return PlantedRun(tmp_path / "run").ask_only("errors").write()


def changed(path: Path, **fields: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **fields}), encoding="utf-8")


def deep(name: str) -> Callable[[RunDir], object]:
    return lambda run: (run.path / name).write_text(DEEP)


def items(value: object) -> Callable[[RunDir], object]:
    return lambda run: changed(run.schedule, items=value)


def config(**fields: object) -> Callable[[RunDir], object]:
    return lambda run: changed(run.config, **fields)


DAMAGE = {
    "config, nested deeply": ("config.json", deep("config.json")),
    "criteria as text": ("config.json", config(criteria="abc")),
    "one criterion as text": ("config.json", config(criteria={"stall": "abc"})),
    "profile as a number": ("config.json", config(profile=5)),
    "seed as text": ("config.json", config(seed="abc")),
}
DAMAGED_SCHEDULES = {
    "nested deeply": deep("schedule.json"),
    "no item": items([None]),
    "an item of another shape": items([{"x": 1}]),
    "items as an object": items({"a": 1}),
    "items as a number": items(5),
}


@pytest.mark.parametrize("damage", DAMAGED_SCHEDULES.values(), ids=DAMAGED_SCHEDULES.keys())
def test_a_run_with_a_damaged_schedule_is_invalid(
    run: RunDir, damage: Callable[[RunDir], object], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run)
    assert main(["check", str(run.path)]) == ExitCode.INVALID
    told = capsys.readouterr()
    assert "schedule.json" in told.out and not told.err


@pytest.mark.parametrize("command", ["triage", "report"])
def test_a_run_with_a_damaged_schedule_can_be_looked_at(
    run: RunDir, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest of its record is worth a look. However it is damaged, it is read as empty."""
    DAMAGED_SCHEDULES["an item of another shape"](run)
    main([command, str(run.path)])
    assert not capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "triage", "report"])
@pytest.mark.parametrize(("file", "damage"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_run_that_cannot_be_judged_is_named_with_its_file(
    run: RunDir,
    command: str,
    file: str,
    damage: Callable[[RunDir], object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(run)
    assert main([command, str(run.path)]) == ExitCode.INVALID
    told = capsys.readouterr()
    assert told.err.startswith(f"chaos: error: {run.path / file}: ") and "  next: " in told.err
    assert len(told.err.splitlines()) == 2 and not told.out


@pytest.mark.parametrize("words", ["check", "triage", "report", "sql", "replay"])
def test_a_run_without_its_config_is_called_that_by_every_command(
    run: RunDir, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run.config.unlink()
    query = ["select 1"] if words == "sql" else []
    assert main([words, str(run.path), *query]) == ExitCode.INVALID
    told = capsys.readouterr()
    assert told.err == (
        f"chaos: error: {run.path}: this run has no config.json, so it can be neither judged nor "
        "repeated\n  next: restore the file, or run the soak again\n"
    )
    assert not told.out


DECODABLE = EVENT % DEEP[99_400:100_600]  # but nothing can walk through it afterwards


@pytest.mark.parametrize("line", [EVENT % DEEP, DECODABLE, SAMPLE % DEEP])
def test_a_line_nested_deeply_is_a_line_that_cannot_be_read(
    run: RunDir, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run.history.read_text(encoding="utf-8").splitlines(keepends=True)
    run.history.write_text("".join([*lines[:9], line, *lines[9:]]), encoding="utf-8")
    assert main(["check", str(run.path)]) == ExitCode.INVALID
    told = capsys.readouterr()
    assert "history.jsonl:10" in told.out and not told.err
    if line is DECODABLE:
        assert main(["report", "--format", "all", str(run.path)]) == ExitCode.PASS


def test_a_record_of_many_entries_is_no_deep_one(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    line = EVENT % json.dumps([{"pid": number} for number in range(200)])
    with run.history.open("a", encoding="utf-8") as stream:
        stream.write(line.replace("ready", "inspection"))
    assert main(["check", "-q", str(run.path)]) == ExitCode.PASS
    assert not capsys.readouterr().err


def test_a_folder_in_the_place_of_the_history_is_told(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    run.history.unlink()
    run.history.mkdir()
    assert main(["check", str(run.path)]) == ExitCode.INVALID
    assert "Record complete" in capsys.readouterr().out


def test_a_broken_verdict_is_judged_again(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    run.verdict.write_text(DEEP)
    assert main(["report", str(run.path)]) == ExitCode.INVALID
    told = capsys.readouterr().err
    assert str(run.verdict) in told and f"next: judge it again: chaos check {run.path}" in told
    assert main(["check", "-q", str(run.path)]) == ExitCode.PASS
    assert main(["report", "--format", "junit", str(run.path)]) == ExitCode.PASS


def test_a_broken_provenance_is_named_and_can_be_moved_away(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    run.provenance.write_text(DEEP)
    assert main(["check", "-q", str(run.path)]) == ExitCode.PASS
    told = capsys.readouterr().err
    assert str(run.provenance) in told and "move it away" in told
    assert told.count("next:") == 1
    run.provenance.unlink()
    assert main(["report", "--format", "junit", str(run.path)]) == ExitCode.PASS


def test_a_gate_that_cannot_be_read_is_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gate.json").write_text(DEEP.replace("[", '{"a":').replace("]", "}"))
    assert main(["gate", "--resume", str(tmp_path), "--dry-run"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert str(tmp_path / "gate.json") in told and "start the gate anew" in told


def test_a_workspace_of_files_nested_deeply_can_be_watched(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are there; what was in them cannot be told."""
    files = [path for path in run.artefacts.rglob("*") if path.is_file()]
    files += [run.artefacts / name for name in ("watcher_ready.json", "lottery_history.json")]
    for path in files:
        path.write_text(DEEP + "\n")
    workspace = ["--workspace", str(run.artefacts)]
    quick = ["--alert", "none", "--count", "1", *workspace]
    assert main(["monitor", *quick]) == ExitCode.PASS
    assert main(["doctor", *workspace]) == ExitCode.INVALID
    assert main(["triage", str(run.artefacts)]) == ExitCode.PASS
    assert "Traceback" not in capsys.readouterr().err
