"""A history is read back as it was written; a crash costs the line in flight and no more."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chaos.record.history import Header, HistoryWriter, Sample, read_history


def test_records_come_back_in_order_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    heard: list[str] = []
    history = HistoryWriter(path, "run-1", listener=lambda record: heard.append(str(record)))
    history.phase("baseline")
    history.event("ready", owner="product", took_s=1.5)
    history.op("submit", "a.json", "info")
    history.close()
    history.event("storm_stuck")  # after the close: dropped, no error
    records = list(read_history(path))
    assert [number for number, _ in records] == [1, 2, 3, 4]
    assert [type(record).__name__ for _, record in records] == ["Header", "Phase", "Event", "Op"]
    header = records[0][1]
    assert isinstance(header, Header) and header.run_id == "run-1"
    assert len(heard) == 5


def test_a_torn_last_line_ends_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = HistoryWriter(path, "run-1")
    history.phase("baseline")
    history.close()
    path.write_bytes(path.read_bytes()[:-5])
    assert len(list(read_history(path))) == 1


def test_a_foreign_line_in_the_middle_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    HistoryWriter(path, "run-1").close()
    with path.open("a") as stream:
        stream.write("nonsense\n")
    with pytest.raises(ValueError, match=r"history\.jsonl:2"):
        list(read_history(path))


def test_threads_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = HistoryWriter(path, "run-1")

    def write() -> None:
        for number in range(200):
            history.write(Sample(t_s=history.now_s(), values={"x": number, "pad": "y" * 200}))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history.close()
    assert len(list(read_history(path))) == 801
