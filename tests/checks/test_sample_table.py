"""Samples as columns: the quick way in and the general one agree, absences are no zeros."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from chaos.checks.hash_sets import among, distinct, repeats, twice
from chaos.checks.sample_table import SampleTable
from chaos.record.history import HistoryWriter, Sample


def line(values: dict[str, object], t_s: float = 1.0) -> bytes:
    return json.dumps({"kind": "sample", "values": values, "t_s": t_s}).encode() + b"\n"


def test_both_ways_in_give_the_same_columns() -> None:
    values = {"watcher.pid": 41, "watcher.fds": 6, "llm.health": "ok", "gpu0.used_bytes": 4096.0}
    quick, general = SampleTable(), SampleTable()
    quick.add_line(7, line(values))
    general.add(7, 1.0, values)
    for key in ("watcher.pid", "watcher.fds", "gpu0.used_bytes"):
        assert quick.column(key).tolist() == general.column(key).tolist() == [values[key]]
    assert quick.gpu_keys() == general.gpu_keys() == ["gpu0.used_bytes"]
    assert (quick.t_s.tolist(), quick.lines.tolist()) == ([1.0], [7])


def test_what_is_absent_is_not_a_number_and_not_zero() -> None:
    table = SampleTable()
    table.add_line(1, line({"watcher.fds": 6}))
    table.add_line(2, line({}))
    seen = table.column("watcher.fds")
    assert seen[0] == 6 and seen[1] != seen[1]
    assert all(value != value for value in table.column("no.such.signal"))


def test_a_gpu_that_appears_late_has_no_earlier_values() -> None:
    table = SampleTable()
    for number in range(5000):
        table.add_line(number, line({"gpu0.used_bytes": 1} if number >= 4500 else {}))
    used = table.column("gpu0.used_bytes")
    assert len(used) == 5000 and (used == used).sum() == 500


def test_any_number_of_gpus_instances_and_owners_have_columns_in_order() -> None:
    """Both ways in; what merely looks like a GPU's memory has none."""
    values: dict[str, object] = {
        "gpu10.used_bytes": 3,
        "gpu2.llm_bytes": 2,
        "gpu2.used_bytes": 4,
        "gpu2mig1.used_bytes": 5,
        "gpu2.temperature": 50,
        "gpu.used_bytes": 1,
    }
    quick, general = SampleTable(), SampleTable()
    quick.add_line(1, line(values))
    general.add(1, 1.0, values)
    for table in (quick, general):
        assert table.gpu_keys() == ["gpu2.used_bytes", "gpu2mig1.used_bytes", "gpu10.used_bytes"]
        assert table.gpu_held_keys() == ["gpu2.llm_bytes"]
        assert table.column("gpu10.used_bytes").tolist() == [3]


@pytest.mark.parametrize("values", [{"watcher.fds": None}, {"watcher.fds": "six"}])
def test_a_signal_that_is_no_number_goes_the_general_way(values: dict[str, object]) -> None:
    table = SampleTable()
    with pytest.raises(msgspec.MsgspecError):
        table.add_line(1, line(values))
    table.add(1, 1.0, values)
    assert all(value != value for value in table.column("watcher.fds"))


def test_the_prefix_is_what_the_history_writes(tmp_path: Path) -> None:
    """Else every sample would go the slow way."""
    from chaos.checks.sample_table import PREFIX

    history = HistoryWriter(tmp_path / "h.jsonl", "test")
    history.write(Sample(t_s=1.0, values={"watcher.fds": 6}))
    history.close()
    assert (tmp_path / "h.jsonl").read_bytes().splitlines()[1].startswith(PREFIX)


def test_sets_of_hashes_are_compared_exactly() -> None:
    import numpy as np

    values = np.array([5, 3, 5, 9, 0, 0, 3, 5], dtype=np.int64)
    everything = np.ones(8, dtype=np.bool_)
    assert among(values, np.array([9, 3])).tolist() == [v in (9, 3) for v in values]
    assert not among(values, np.array([], dtype=np.int64)).any()
    assert twice(values).tolist() == [0, 3, 5]
    assert [distinct(values[:n]) for n in range(9)] == [0, 1, 2, 2, 3, 4, 4, 4, 4]
    assert repeats(values, everything) == [(2, 0), (6, 1), (7, 0)]  # 0 stands for "none"
    assert repeats(values, np.array([False] * 2 + [True] * 6)) == [(7, 2)]


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 254.0, float("nan"), 3.0],
        [1.0, 255.0, float("nan"), 2.0],
        [1.0, -1.0, 0.5, float("nan")],
        [7.0, 40_960_000.0, 7.0, float("nan")],
    ],
)
def test_a_column_gives_back_what_it_was_given(values: list[float]) -> None:
    """Also where small counts are followed by what no byte can hold, after many samples."""
    table = SampleTable()
    many = [2.0] * 5000 + values
    for number, value in enumerate(many):
        told: dict[str, object] = {} if value != value else {"watcher.fds": value}
        table.add_line(number, line(told, float(number)))
    column = table.column("watcher.fds")
    assert [None if v != v else v for v in column.tolist()] == [None if v != v else v for v in many]
    assert column.dtype == "float32"
