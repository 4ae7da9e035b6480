"""Cached parts of a line (date, values, absences) never appear in the wrong line."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos.monitor.alerts import parse_rule
from chaos.monitor.display import JsonLines
from chaos.monitor.loop import Moment, Monitor
from chaos.witness.base import SourceBase, Values
from tests.waiting import wait_for


def lines(*moments: Moment) -> list[dict[str, Any]]:
    out = io.BytesIO()
    display = JsonLines(out)
    for moment in moments:
        display.show(moment)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_line_has_its_own_time_and_values() -> None:
    """Over seconds and midnight, with values that stay, change and return."""
    start_s = datetime(2026, 12, 31, 23, 59, 58, 900_000, UTC).timestamp()
    low: Values = {"a": 1, "b": 'é"\\', "c": None}
    high: Values = {"a": 2.5}
    wanted = [low, low, high, low, {}, high, *[low] * 20]
    moments = [
        Moment(start_s + number * 0.125, number * 0.125, values, {})
        for number, values in enumerate(wanted)
    ]
    written = lines(*moments)
    assert [line["values"] for line in written] == wanted
    assert [line["t_s"] for line in written] == [moment.t_s for moment in moments]
    for line, moment in zip(written, moments, strict=True):
        late = datetime.fromtimestamp(moment.wall_s, UTC) - datetime.fromisoformat(line["at"])
        assert timedelta(0) <= late < timedelta(milliseconds=1, microseconds=2)
    assert written[0]["at"] == "2026-12-31T23:59:58.900+00:00"


def test_an_absence_is_written_once_after_its_sample() -> None:
    values: Values = {"a": 1}
    gone = {"gpu": "no driver"}
    written = lines(
        Moment(1.5, 0.0, values, gone),
        Moment(1.6, 0.1, values, dict(gone)),
        Moment(1.7, 0.2, values, {}),
    )
    assert [line["kind"] for line in written] == ["sample", "absent", "sample", "sample", "present"]
    assert written[0]["at"] == written[1]["at"]


class Still(SourceBase):
    """Stands for any source; its value changes only when the test sets it."""

    def __init__(self) -> None:
        super().__init__("still")
        self.value = 0
        self.last_read = -1

    def unchanged(self) -> bool:
        return self.value == self.last_read

    def read(self, values: Values) -> None:
        self.last_read = values["k"] = self.value


def test_alerts_are_evaluated_after_every_change_and_while_a_rule_waits() -> None:
    """A rule's `hold_s` may end at a sample that repeats the previous one."""
    source, at_once, later = Still(), parse_rule("k>5"), parse_rule("k>5 for 1ms")
    monitor = Monitor([source], [at_once, later])
    assert not monitor.sample().changes and not monitor.sample().changes
    source.value = 9
    raised = [change.rule for change in monitor.sample().changes]

    def both() -> bool:
        raised.extend(change.rule for change in monitor.sample().changes)
        return len(raised) >= 2

    wait_for("both alerts", both)
    assert raised == ["k>5", "k>5 for 1ms"]
    source.value = 1
    assert [change.state for change in monitor.sample().changes] == ["cleared", "cleared"]
    assert not monitor.sample().changes
