"""Probe requests arrive whole, by the target's template, and are recorded by their outcome."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import yaml

from chaos.history import HistoryWriter, Op, read_history
from chaos.soaks.requests import RequestSubmitter
from chaos.target import Target


def reference(repo: Path) -> Target:
    path = repo / "experiments" / "targets" / "reference.yaml"
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Target)


def ops(path: Path) -> list[Op]:
    return [record for _, record in read_history(path) if isinstance(record, Op)]


def test_a_request_is_the_filled_template(tmp_path: Path, repo: Path) -> None:
    queue = reference(repo).queue
    (tmp_path / queue.submit_dir).mkdir()
    history = HistoryWriter(tmp_path / "history.jsonl", "test")
    name = RequestSubmitter(tmp_path, queue, history).submit("selfplay", "after f001")
    history.close()
    written = json.loads((tmp_path / queue.submit_dir / name).read_text())
    assert written["request_type"] == "selfplay"
    assert written["sequence_number"] == 1
    assert written["reason"] == f"probe {name}"
    assert written["parameters"] == {"episodes": 1, "policy_conditioned": True}
    assert [(op.id, op.outcome) for op in ops(tmp_path / "history.jsonl")] == [(name, "ok")]
    assert [path.name for path in (tmp_path / queue.submit_dir).iterdir()] == [name]


def test_a_request_that_could_not_be_written_is_a_failed_operation(
    tmp_path: Path, repo: Path
) -> None:
    history = HistoryWriter(tmp_path / "history.jsonl", "test")
    RequestSubmitter(tmp_path / "nowhere", reference(repo).queue, history).submit("selfplay", "x")
    history.close()
    assert [op.outcome for op in ops(tmp_path / "history.jsonl")] == ["fail"]
