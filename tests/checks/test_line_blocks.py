"""Lines come in blocks and are decoded together: the same as read one by one, whatever they are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest

from chaos.checks import line_blocks as module
from chaos.checks.line_blocks import LineBlock, line_blocks
from chaos.checks.run_view import RunView
from chaos.record.history import Sample
from tests.checks.history_builder import PlantedRun

DECODER = msgspec.json.Decoder(dict)


def block(content: bytes) -> LineBlock:
    return LineBlock(1, 0, content)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("content", [b"", b"\n", b"a\nbb\n\n\nccc\n", b"a\nbb", b"a" * 20 + b"\nb"])
def test_blocks_are_the_lines_of_the_file(
    size: int, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", size)
    blocks = list(line_blocks(io.BytesIO(content)))
    assert [line for one in blocks for line in one.lines()] == list(
        enumerate(content.splitlines(keepends=True), start=1)
    )
    assert all(content[one.offset :].startswith(one.content) for one in blocks)
    assert [one.number for one in blocks] == [
        1 + content[: one.offset].count(b"\n") for one in blocks
    ]


def test_of_an_overlong_line_only_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4)
    content = b"a\n" + b"b" * 100 + b"\nc\n" + b"d" * 100
    lines = [line for one in line_blocks(io.BytesIO(content), 9) for line in one.lines()]
    assert lines == [(1, b"a\n"), (2, b"b" * 9), (3, b"c\n"), (4, b"d" * 9)]


def test_plain_lines_are_decoded_together() -> None:
    found = block(b'{"a":1}\n{"b":{}}\n{"c":[{}]}\n')
    assert found.entries(DECODER.decode_lines) == [{"a": 1}, {"b": {}}, {"c": [{}]}]
    assert found.entries(DECODER.decode_lines, 1, 2) == [{"b": {}}]


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1}\n{"a":',  # torn
        b'{"a":1}\n{"a":2}',
        b'{"a":1}\n\n{"a":2}\n',
        b'{"a":1}\r\n{"a":2}\r\n',
        b'{"a":1}{"a":2}\n{"a":3}\n',
        b'{"a":1} {"a":2}\n{"a":\n3}\n',  # as many objects as lines
        b'{"a":[{}\n,{}]}\n{}{}\n',
        b'{"a":"}\n{"}\n',
        b'{"a":[{}\n{}]}\n',
        b"[1]\n{}\n",
        b"[{}\n]\n",
        b"1\n",
        b"{]}\n",
        b"}\n",
        b"\n",
    ],
)
def test_what_is_not_one_object_a_line_is_left_to_be_read_line_by_line(content: bytes) -> None:
    assert block(content).entries(DECODER.decode_lines) is None


def test_runs_of_lines_with_a_prefix_are_told_apart() -> None:
    found = block(b"xy1\nxy2\nx\n\nxy\nx")
    assert list(found.runs(b"xy")) == [(0, 2, True), (2, 4, False), (4, 5, True), (5, 6, False)]
    assert list(block(b"xy").runs(b"xy")) == [(0, 1, True)]


def test_a_history_in_small_blocks_is_the_same_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples between records, one that is written in another way, half a record at the end."""
    run = PlantedRun(tmp_path / "run").write()
    odd = Sample(t_s=1e6, values={"watcher.fds": None, "watcher.threads": 3})
    with run.history.open("ab") as history:
        history.write(msgspec.json.encode(odd) + b'\n{"kind":"sample","values":{')
    whole = RunView(run)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 700)
    parts = RunView(run)
    records = [json.loads(line) for line in run.history.read_bytes().splitlines()[:-1]]
    assert whole.lines == parts.lines == len(records) and whole.torn and parts.torn
    assert whole.end_s == parts.end_s == 1e6
    assert whole.events == parts.events and whole.phases == parts.phases
    sampled = [i for i, one in enumerate(records, start=1) if one["kind"] == "sample"]
    for view in (whole, parts):
        assert view.samples.lines.tolist() == sampled
        assert view.samples.column("watcher.threads")[-1] == 3
    assert whole.samples.t_s.tolist() == parts.samples.t_s.tolist()


def test_a_decision_log_in_small_blocks_is_the_same_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With damaged, empty and foreign lines between the decisions, and half a line at the end."""
    run = PlantedRun(tmp_path / "run")
    lines = [json.dumps(one) for one in run.decisions]
    lines[2] += " "
    lines[4:4] = ["", "no decision", '{"decision_id":"x","started_at":17}', '{"a":"\udcff"}']
    text = "\n".join(lines) + '\n{"decision_id": "d9'
    run.files["artefacts/watcher_decisions.jsonl"] = ""
    stored = run.write()
    log = stored.artefacts / "watcher_decisions.jsonl"
    log.write_bytes(text.encode(errors="surrogateescape"))
    whole = RunView(stored).files.decisions
    monkeypatch.setattr(module, "_BLOCK_BYTES", 900)
    parts = RunView(stored).files.decisions
    assert list(whole) == list(parts) and len(whole) == len(run.decisions) + 1
    assert [whole[i] for i in range(len(whole))] == [parts[i] for i in range(len(parts))]
    assert list(whole) == [whole[i] for i in range(len(whole))]
    assert whole.damaged == parts.damaged == [6, 8] and whole.torn and parts.torn
    for column in ("lines", "request", "id", "sequence", "completed", "call_count"):
        assert getattr(whole, column).tolist() == getattr(parts, column).tolist(), column
    assert whole.end_s[4] != whole.end_s[4] and whole.start_s[4] == parts.start_s[4]
