"""The monitor's loop: reads the sources on an absolute schedule, judges alerts, tells a display.

A sample that is late is skipped, never queued, and counted. Nothing is kept of a sample once it
is shown, so memory stays flat. Knows no particular source and no particular display.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from chaos.monitor.alerts import Change, Rule
from chaos.witness.base import Source, Values
from chaos.witness.pause import Pause
from chaos.witness.reader import Reader


class Moment(msgspec.Struct, frozen=True):
    """One sample: `wall_s` unix time, `t_s` seconds since the start, what is absent and why.

    `values` is the same object as in the sample before as long as nothing in it has changed.
    """

    wall_s: float
    t_s: float
    values: Values
    absent: dict[str, str]
    changes: Sequence[Change] = ()


@dataclass
class Summary:
    """What the monitor did; `cpu_s` is the processor time of reading, judging and telling."""

    samples: int = 0
    overruns: int = 0  # moments of the schedule that passed while a sample was taken
    raised: int = 0
    lasted_s: float = 0.0
    cpu_s: float = 0.0
    never_measured: list[str] = field(default_factory=list)  # alerts whose signal never came
    repeated_s: dict[str, float] = field(default_factory=dict)  # sources read less often: period

    @property
    def cpu_ms_per_sample(self) -> float:
        """Milliseconds."""
        return self.cpu_s * 1000 / self.samples if self.samples else 0.0


# Nobody judges growth by a monitor's lines: what changes slowly is read half as often as in a run.
STRETCH = 2.0


class Display(Protocol):
    """Where samples go."""

    def show(self, moment: Moment) -> None:
        """Tell one sample and the alerts that it changed."""

    def close(self, summary: Summary) -> None:
        """Tell the end."""


class Monitor:
    """Takes samples until `stop` is set, `count` is reached, or an alert ends it."""

    def __init__(
        self, sources: Sequence[Source], rules: Sequence[Rule], why_no_watcher: object = None
    ) -> None:
        self._reader = Reader(sources, stretch=STRETCH)
        self._rules = list(rules)
        self._instance = why_no_watcher
        self._judged: Values = {}
        self._waits = False  # some rule is met, and not yet for as long as it must be
        self._start_s = time.monotonic()

    def sample(self) -> Moment:
        """Read all sources now and judge the alerts."""
        wall_s, t_s = time.time(), time.monotonic() - self._start_s
        values, absent = self._reader.read(), self._reader.absences()
        if absent.get("watcher") == "not running":
            why = getattr(self._instance, "why", "not there")
            absent = {**absent, "watcher": f"not running: {why}"}
        # The same values can only end a rule's time of waiting.
        changes = () if values is self._judged and not self._waits else self._judge(values, t_s)
        return Moment(wall_s, int(t_s * 1000) / 1000, values, absent, changes)

    def _judge(self, values: Values, t_s: float) -> Sequence[Change]:
        self._judged = values
        found = [rule.judge(values, t_s) for rule in self._rules]
        self._waits = any(rule.waits for rule in self._rules)
        return [change for change in found if change is not None]

    def run(
        self,
        display: Display,
        period_s: float,
        stop: threading.Event | Pause,
        *,
        count: int | None = None,
        until_alert: bool = False,
        in_vain: Callable[[], bool] = lambda: False,
    ) -> Summary:
        """Sample until the end; the display is closed, the sources too.

        `in_vain` is asked after each sample, and ends the watching when it says so.
        """
        periods = self._reader.periods_s().items()
        summary = Summary(repeated_s={name: p for name, p in periods if p > period_s})
        self._start_s = time.monotonic()
        cpu_start_s = time.process_time()
        slot = 0
        try:
            while not stop.is_set():
                moment = self.sample()
                display.show(moment)
                summary.samples += 1
                if moment.changes:
                    summary.raised += sum(c.state == "raised" for c in moment.changes)
                if summary.samples == count or (summary.raised and until_alert):
                    break
                if in_vain():  # nobody is told any more
                    break
                now_s = time.monotonic() - self._start_s
                passed = int(now_s / period_s)
                if passed > slot:
                    summary.overruns += passed - slot
                    slot = passed
                slot += 1
                stop.wait(slot * period_s - now_s)
            summary.lasted_s = time.monotonic() - self._start_s
            summary.cpu_s = time.process_time() - cpu_start_s
            summary.never_measured = [
                rule.text
                for rule in self._rules
                if not rule.measured_ever and rule.value != "absent"
            ]
            display.close(summary)
        finally:
            self._reader.close()
        return summary
