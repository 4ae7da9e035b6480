"""Each source is read at its own period, samples are complete, an absent source has no values."""

from __future__ import annotations

import pytest

from chaos.witness.base import SourceBase, Values
from chaos.witness.reader import Reader


class Scripted(SourceBase):
    """Stands for any source: its value is the number of reads; it may fail or be silent."""

    def __init__(self, name: str, period_s: float = 0.0) -> None:
        super().__init__(name, period_s)
        self.reads = 0
        self.error: OSError | None = None
        self.silent = False
        self.same = False
        self.seen: Values = {}

    def unchanged(self) -> bool:
        return self.same

    def read(self, values: Values) -> None:
        self.reads += 1
        self.seen = values.copy()
        if self.error is not None:
            raise self.error
        if not self.silent:
            values[f"{self.name}.reads"] = self.reads


def samples(reader: Reader, now_s: list[float], until_s: float) -> list[Values]:
    taken = []
    while now_s[0] < until_s:
        taken.append(reader.read())
        now_s[0] = round(now_s[0] + 0.1, 3)
    return taken


def test_every_sample_is_complete_and_each_source_keeps_its_period() -> None:
    fast, half, slow = Scripted("fast"), Scripted("half", 0.5), Scripted("slow", 1.0)
    now_s = [0.0]
    reader = Reader([slow, fast, half], clock=lambda: now_s[0])
    taken = samples(reader, now_s, 2.0)
    assert [set(sample) for sample in taken] == [{"fast.reads", "half.reads", "slow.reads"}] * 20
    assert (fast.reads, half.reads, slow.reads) == (20, 4, 2)
    assert [sample["half.reads"] for sample in taken[:6]] == [1, 1, 1, 1, 1, 2]
    assert reader.periods_s() == {"slow": 1.0, "half": 0.5}
    assert len({id(sample) for sample in taken}) == 20  # the next sample is another object


def test_a_source_that_fails_has_no_values_until_it_can_be_read_again() -> None:
    """Repeated values would describe a Watcher that is gone."""
    slow = Scripted("slow", 0.5)
    now_s = [0.0]
    reader = Reader([slow], clock=lambda: now_s[0])
    samples(reader, now_s, 0.5)
    slow.error = OSError(5, "Input/output error", "/some/file")
    assert samples(reader, now_s, 1.0) == [{}] * 5
    assert reader.absences() == {"slow": "input/output error: /some/file"}
    slow.error = None
    assert samples(reader, now_s, 1.5) == [{"slow.reads": 3}] * 5
    assert reader.absences() == {}


def test_a_key_that_a_source_no_longer_adds_is_removed() -> None:
    slow = Scripted("slow", 0.5)
    now_s = [0.0]
    reader = Reader([slow], clock=lambda: now_s[0])
    samples(reader, now_s, 0.5)
    slow.silent = True
    assert samples(reader, now_s, 1.0) == [{}] * 5


def test_absences_return_the_same_object_until_they_change() -> None:
    fast = Scripted("fast")
    reader = Reader([fast])
    reader.read()
    before = reader.absences()
    reader.read()
    assert reader.absences() is before
    fast.error = OSError(2, "No such file or directory")
    reader.read()
    assert reader.absences() == {"fast": "no such file or directory"}


@pytest.mark.parametrize("period_s", [0.0, 1.0])
def test_a_source_gets_its_inputs_and_owns_only_the_keys_it_adds(period_s: float) -> None:
    first, other, last = Scripted("first", 1.0), Scripted("other", 1.0), Scripted("last", period_s)
    last.inputs = ("first.reads", "nobody.reads")
    now_s = [0.0]
    reader = Reader([first, other, last], clock=lambda: now_s[0])
    assert reader.read() == {"first.reads": 1, "other.reads": 1, "last.reads": 1}
    assert last.seen == {"first.reads": 1}
    last.error, now_s[0] = OSError(5, "Input/output error"), 1.0
    assert reader.read() == {"first.reads": 2, "other.reads": 2}  # its inputs stay
    last.error, first.silent, now_s[0] = None, True, 2.0
    assert reader.read() == {"other.reads": 3, "last.reads": 3}
    assert last.seen == {}


def test_read_returns_the_same_sample_until_something_changes() -> None:
    """A display may cache what it made of a sample: a changed sample is another object."""
    fast, slow = Scripted("fast"), Scripted("slow", 1.0)
    now_s = [0.0]
    reader = Reader([slow, fast], clock=lambda: now_s[0])
    first = reader.read()
    fast.same = True
    repeated = [reader.read() for _ in range(3)]
    assert all(sample is first for sample in repeated) and fast.reads == 1
    fast.same = False
    changed = reader.read()
    assert changed is not first
    assert (changed["fast.reads"], first["fast.reads"]) == (2, 1)
    fast.same, now_s[0] = True, 1.0  # a due source is read even if the others are unchanged
    assert reader.read() == {"slow.reads": 2, "fast.reads": 3}


def test_repeated_samples_have_no_values_of_a_failed_source() -> None:
    fast = Scripted("fast")
    reader = Reader([fast])
    reader.read()
    fast.error = OSError(5, "Input/output error")
    assert reader.read() == {}
    fast.same = True
    assert reader.read() == {} and reader.absences() == {"fast": "input/output error"}
