"""A history is read while another process writes it."""

from __future__ import annotations

import threading
from pathlib import Path

from chaos.record.history import HistoryWriter, Phase, Record
from chaos.report.follow import Follower


def test_every_complete_line_is_passed_on_once_in_order(tmp_path: Path) -> None:
    """Includes a line that is written in two parts, and a line that is no record."""
    path = tmp_path / "history.jsonl"
    told: list[Record] = []
    seen = threading.Event()

    def listen(record: Record) -> None:
        told.append(record)
        if isinstance(record, Phase) and record.name == "storm":
            seen.set()

    follower = Follower(path, listen)
    follower.start()  # before there is a file
    writer = HistoryWriter(path, "r")
    writer.phase("baseline")
    with path.open("ab") as stream:
        stream.write(b"{not a record}\n")
        stream.write(b'{"kind":"phase","t_s":1')
        stream.flush()
        stream.write(b'.0,"name":"storm"}\n')
        stream.flush()
    assert seen.wait(10)
    writer.phase("quiet")
    writer.close()
    follower.stop()
    names = [record.name for record in told if isinstance(record, Phase)]
    assert names == ["baseline", "storm", "quiet"]


def test_a_missing_history_ends_without_records(tmp_path: Path) -> None:
    told: list[Record] = []
    follower = Follower(tmp_path / "history.jsonl", told.append)
    follower.start()
    follower.stop()
    assert told == []
