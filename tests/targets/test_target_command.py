"""`chaos target`: all errors of a file at once, a skeleton that can be used, a schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.base.shipped import EXPERIMENTS
from chaos.record.open_run import OpenRun
from chaos.targets.check import errors_in, judged_by
from chaos.targets.command import target as command
from chaos.targets.live import Live, seconds_a_piece
from chaos.targets.new import look, skeleton
from chaos.targets.options import TargetOptions
from tests.records import unpacked

SMALL = """
target: small
watcher: {start: [sleep, "1"]}
work: {submit: {folder: inbox}, done: outbox/*, body: {id: "{id}"}}
"""
WRONG = """
target: bad name
watcher: {start: [], ready_url: "ftp://x"}
work:
  submit: {folder: in, post: "http://localhost:1/x"}
  done: {files: out/*, name: "(?P<status>.*)"}
llm: {endpoint: nohost, call_limit_s: x}
records:
  decisions: {sql: "select foo as bar from jsonl('x')"}
  calls: {sql: "select line, true as ok from jsonl('../x')"}
services: {watcher: {start: [x]}, Loud: {start: [x], ready_url: x:1}}
draws: {generator: {lcg: {a: -1, m: 0, shift: 64}, command: ["reference"]}}
halt: {command: [], flags: ["../x"]}
env: {A: "{never}"}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_all_errors_are_said_at_once_each_with_its_line(tmp_path: Path) -> None:
    wrong = errors_in(written(tmp_path, WRONG))[2]
    places = [error.place.rpartition("/")[2].partition(" ")[2] for error in wrong]
    assert {
        "target",
        "watcher.start",
        "watcher.ready_url",
        "work.submit",
        "work.done.name",
        "llm.endpoint",
        "llm.call_limit_s",
        "records.decisions.sql",
        "records.calls.sql",
        "services.watcher",
        "services.Loud",
        "services.Loud.ready_url",
        "halt.command",
        "halt.flags[0]",
        "draws.generator",
        "draws.generator.lcg.a",
        "draws.generator.lcg.m",
        "draws.generator.lcg.shift",
        "env.A",
    } <= set(places)
    assert all(error.next_step for error in wrong)


def test_all_wrong_types_are_said_at_once(tmp_path: Path) -> None:
    text = "target: a\nwatcher: {strt: 5}\nwork: {submit: 3}\npol: 1\n"
    document, target, wrong = errors_in(written(tmp_path, text))
    assert target is None and document.data["pol"] == 1
    messages = " | ".join(f"{error.place} {error.message}" for error in wrong)
    for part in ("pol", "strt", "missing start", "missing done", "work.submit"):
        assert part in messages, part


def test_a_target_of_a_few_lines_is_enough(tmp_path: Path) -> None:
    _, target, wrong = errors_in(written(tmp_path, SMALL))
    assert wrong == [] and target is not None
    checks = judged_by(target)
    assert checks["requests_archived"] == "" and checks["memory_growth"] == ""
    assert checks["exactly_once"] == "the target does not say decisions.request"


def test_what_is_not_applicable_is_said_with_its_reason(tmp_path: Path) -> None:
    text = SMALL + 'not_applicable: {halt: "it has none", "*": "a queue worker"}\n'
    _, target, wrong = errors_in(written(tmp_path, text))
    assert wrong == [] and target is not None
    checks = judged_by(target)
    assert checks["halt"] == "not applicable: it has none"
    assert checks["exactly_once"] == "not applicable: a queue worker"
    assert checks["errors"] == ""


def test_skeleton_names_what_lies_there_and_can_be_checked(tmp_path: Path) -> None:
    for folder in ("inbox", "archive"):
        (tmp_path / folder).mkdir()
    (tmp_path / "worker.py").write_text('#!/usr/bin/env python3\nURL = "http://localhost:8080/x"\n')
    (tmp_path / "log.jsonl").write_text('{"status": "x", "when": 1}\n')
    (tmp_path / "draw_history.json").write_text('{"draws": []}')
    (tmp_path / "archive" / "predicted.json").write_text("{}")
    text = skeleton(tmp_path, look(tmp_path))
    assert "from json('draw_history.json')" in text and "predicted" not in text
    for part in ("worker.py", "folder: inbox", "done: archive/*", "port 8080", "status, when"):
        assert part in text, part
    assert errors_in(written(tmp_path, text))[2] == []


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = written(tmp_path, SMALL), tmp_path / "bad.yaml"
    bad.write_text(WRONG)
    assert command(TargetOptions(action="check", file=good)) == 0
    assert "small: can be used" in capsys.readouterr().out
    assert command(TargetOptions(action="check", file=str(bad), json=True)) == 2
    assert len(json.loads(capsys.readouterr().out)["errors"]) > 10
    assert command(TargetOptions(action="schema")) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["$defs"]["Target"]["required"]) == {"target", "watcher", "work"}


def test_the_schema_for_editors_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Renewed by `chaos target schema > experiments/target.schema.json`."""
    assert command(TargetOptions(action="schema")) == 0
    assert capsys.readouterr().out == (EXPERIMENTS / "target.schema.json").read_text("utf-8")
    first = (EXPERIMENTS / "targets" / "reference.yaml").read_text("utf-8").partition("\n")[0]
    assert first == "# yaml-language-server: $schema=../target.schema.json"


@pytest.mark.parametrize(("piece_s", "raised"), [(1.5, False), (12.4, True)])
def test_live_check_names_a_unit_of_work_that_is_too_short(
    piece_s: float,
    raised: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = Live(tmp_path, "complete", "", piece_s=piece_s)
    monkeypatch.setattr("chaos.targets.command.live", lambda *_: seen)
    options = TargetOptions(action="check", file=written(tmp_path, SMALL), live=True)
    assert command(options) == 0
    assert ("say work.unit_s: 12" in capsys.readouterr().out) == raised


def test_pace_is_measured_up_to_the_last_finished_piece(tmp_path: Path) -> None:
    with OpenRun(unpacked("soak_b_llm_timeout", tmp_path)) as run:
        last_s, ready_s = run.sql(
            """select min(t_s), any_value(p.begin_s) from moments, phases p
            where p.name = 'baseline' and "queue.archived" = 10"""
        )[0]
        assert seconds_a_piece(run, 10) == pytest.approx((last_s - ready_s) / 10, abs=0.1)
        assert seconds_a_piece(run, 0) is None
