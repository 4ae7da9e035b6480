"""The monitor's loop: read the sources on an absolute schedule, evaluate alerts, show samples.

A moment of the schedule that passes during a sample is skipped and counted. A sample is not kept
after it was shown, so memory stays constant. Knows no particular source or display.
"""

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
    """One sample. `wall_s`: Unix time. `t_s`: seconds since the start. `absent`: reason by source.

    `values` is the same object as in the previous sample while nothing in it has changed.
    """

    wall_s: float
    t_s: float
    values: Values
    absent: dict[str, str]
    changes: Sequence[Change] = ()


@dataclass
class Summary:
    """The totals. `cpu_s`: CPU time for reading, evaluating and showing."""

    samples: int = 0
    overruns: int = 0  # moments of the schedule that passed during another sample
    raised: int = 0
    lasted_s: float = 0.0
    cpu_s: float = 0.0
    never_measured: list[str] = field(default_factory=list)  # rules whose signal was always absent
    repeated_s: dict[str, float] = field(default_factory=dict)  # period of sources read less often

    @property
    def cpu_ms_per_sample(self) -> float:
        """CPU time per sample in milliseconds; 0.0 without a sample."""
        return self.cpu_s * 1000 / self.samples if self.samples else 0.0


# No check uses a monitor's samples, so slow signals are read half as often as in a run.
STRETCH = 2.0


class Display(Protocol):
    """Shows samples to a person or a program."""

    def show(self, moment: Moment) -> None:
        """Show one sample, with the alerts that it changed."""

    def close(self, summary: Summary) -> None:
        """Show the totals."""


class Monitor:
    """Takes samples until `stop` is set, `count` is reached, or an alert ends it.

    `instance` is a `FixedProcess` or `OwnFile`: its `absence_reason` explains an absent
    Watcher.
    """

    def __init__(
        self, sources: Sequence[Source], rules: Sequence[Rule], instance: object = None
    ) -> None:
        self._reader = Reader(sources, stretch=STRETCH)
        self._rules = list(rules)
        self._instance = instance
        self._evaluated: Values = {}
        self._waits = False  # a rule is met, but not yet for its `hold_s`
        self._start_s = time.monotonic()

    def sample(self) -> Moment:
        """Read all sources now, and evaluate the alerts."""
        wall_s, t_s = time.time(), time.monotonic() - self._start_s
        values, absent = self._reader.read(), self._reader.absences()
        if absent.get("watcher") == "not running":
            reason = getattr(self._instance, "absence_reason", "not there")
            absent = {**absent, "watcher": f"not running: {reason}"}
        # Unchanged values can only change a rule that waits for its `hold_s`.
        unchanged = values is self._evaluated and not self._waits
        changes = () if unchanged else self._evaluate(values, t_s)
        return Moment(wall_s, int(t_s * 1000) / 1000, values, absent, changes)

    def _evaluate(self, values: Values, t_s: float) -> Sequence[Change]:
        self._evaluated = values
        changes = [rule.evaluate(values, t_s) for rule in self._rules]
        self._waits = any(rule.waits for rule in self._rules)
        return [change for change in changes if change is not None]

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
        """Take samples until the end, then close the display and the sources.

        `in_vain` is called after each sample; True ends the monitor.
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
                if in_vain():
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
