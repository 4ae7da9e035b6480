"""When GPU memory must be free, and what was in use then: stops of the LLM server, gaps between
dispatches, the time outside fault windows.

Readings lag: the driver is asked twice in a second and samples repeat the answer, and memory is
freed a moment after its process. Only a rest that lasted long enough can show anything. Knows no
limit and no verdict.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chaos.base.errors import ChaosError
from chaos.record.open_run import OpenRun
from chaos.record.signals import declared_signal

_LAG_S = 0.5  # where the record does not say how often the driver was asked
_SETTLE_S = 0.5
_STOPS_MAX = 100_000  # of the LLM server; those after them are not looked at

Span = tuple[float, float]
# From the end of each server to the start of the next one.
_LLM_STOPS = """
select t_s, next_s from (
    select event, t_s, lead(event) over o as next_event, lead(t_s) over o as next_s
    from servers where event in ('gone', 'crashed', 'start') window o as (order by line)
) where event <> 'start' and next_event = 'start' and next_s - t_s >= $shortest_s
order by t_s limit $most
"""
# From the end of each dispatch to the next one's beginning: one daemon works on one at a time.
_GAPS = """
with timed as (
    select start_s, end_s from decisions
    where dispatch is not null and start_s is not null and end_s is not null
), ends as (select end_s, row_number() over (order by end_s) as place from timed),
starts as (select start_s, row_number() over (order by start_s) - 1 as place from timed)
select end_s, start_s from ends join starts using (place)
where start_s - end_s >= $shortest_s order by 1
"""
# Samples that no fault, nor the time it takes to see its end, has touched.
_UNMASKED = """
select t_s, line, coalesce("decisions.completed", "queue.archived", 0)::double, {} as bytes
from moments
where bytes is not null and not exists (
    select 1 from faults f where t_s between f.injected_s and f.until_s + $after_s)
order by line
"""


@dataclass(frozen=True)
class Low:
    """The lowest use in some time, and the line of the history that shows it."""

    used_bytes: float
    line: int
    t_s: float
    work: float = 0.0  # requests completed by then


class Readings:
    """What one signal of GPU memory showed outside fault windows, in the order of time."""

    def __init__(self, readings: Sequence[Low], first: float, stops: Sequence[Span]) -> None:
        """`first`: the value of the run's first sample; `stops`: when the server was stopped."""
        self._readings = readings
        self._t_s = [one.t_s for one in readings]
        self._stops = stops
        self.at_first = first

    def within(self, span: Span) -> Sequence[Low]:
        """The readings in `span`."""
        return self._readings[bisect_left(self._t_s, span[0]) : bisect_right(self._t_s, span[1])]

    def low(self, span: Span) -> Low | None:
        """The lowest in `span`; the first of several."""
        return min(self.within(span), key=lambda one: one.used_bytes, default=None)

    def middle(self, span: Span) -> Low | None:
        """What is usual in `span` while the LLM server runs: the middle of the values."""
        running = [
            one
            for one in self.within(span)
            if not any(since_s <= one.t_s <= until_s for since_s, until_s in self._stops)
        ]
        ordered = sorted(running, key=lambda one: one.used_bytes)
        return ordered[len(ordered) // 2] if ordered else None

    def lows(self, spans: Sequence[Span]) -> list[Low]:
        """The lowest in each of `spans` that has a reading."""
        return [low for span in spans if (low := self.low(span)) is not None]

    def seen_stopped(self, span: Span) -> bool:
        """Whether `low` sees in `span` a time without the LLM server: a stop in a masked time, say,
        is one of which nobody knows what was in use.
        """
        return any(
            self.within((max(since_s, span[0]), min(until_s, span[1])))
            for since_s, until_s in self._stops
        )


class Rests:
    """Asks one run. Times in run seconds; stops and gaps are moved by the lag of the readings."""

    def __init__(self, run: OpenRun) -> None:
        self.run = run
        start_s, end_s = run.measured_span_s()
        third_s = (end_s - start_s) / 3
        self.early: Span = (start_s, start_s + third_s)
        self.late: Span = (end_s - third_s, end_s)
        sampler = run.last("sampler")
        periods = sampler[1].detail.get("repeated_s") if sampler else None
        lag_s = periods.get("gpu") if isinstance(periods, dict) else None
        self.lag_s = float(lag_s) if isinstance(lag_s, (int, float)) else _LAG_S
        self._start_s = start_s

    @property
    def devices(self) -> list[str]:
        """Signals of all memory in use, one a GPU or MIG instance."""
        return [name for name in self.run.gpu_signals if name.endswith(".used_bytes")]

    @property
    def holders(self) -> list[str]:
        """Signals of what one service holds."""
        return [name for name in self.run.gpu_signals if not name.endswith(".used_bytes")]

    @cached_property
    def llm_stops(self) -> list[Span]:
        """Stops of the LLM server that were long enough to see."""
        return self._spans(_LLM_STOPS, most=_STOPS_MAX)

    @cached_property
    def gaps(self) -> list[Span]:
        """Gaps between dispatches that were long enough to see."""
        return self._spans(_GAPS)

    def _spans(self, query: str, **parameters: Any) -> list[Span]:
        parameters |= {"shortest_s": self.lag_s + _SETTLE_S}
        rows = self.run.sql(query, parameters)
        return [(since_s + self.lag_s, until_s + self.lag_s) for since_s, until_s in rows]

    def readings(self, signal: str, less: str = "") -> Readings:
        """Those of `signal`, less those of the signal `less` where that was there."""
        value = self._column(signal)
        if less:
            value = f"{value} - coalesce({self._column(less)}, 0)"
        after_s = self.lag_s + _SETTLE_S
        rows = self.run.sql(_UNMASKED.format(value), {"after_s": after_s})
        first = self.run.one(
            f"select {value} from moments where t_s >= $start_s order by line limit 1",
            {"start_s": self._start_s},
        )
        lows = [Low(used, line, t_s, work) for t_s, line, work, used in rows]
        return Readings(lows, float(first or 0.0), self.llm_stops)

    def _column(self, signal: str) -> str:
        name = declared_signal(signal).name
        return f'"{name}"::double' if name in self.run.gpu_signals else "null::double"

    def before_stack(self, device: str) -> tuple[float | None, str]:
        """(bytes in use of that unit before the stack was started, as the provenance has it, "") or
        (None, why it is not known).
        """
        try:
            facts = self.run.run.read_json(self.run.run.provenance).get("gpu")
        except ChaosError:
            facts = None
        used = _dict_in(facts, "used_bytes")
        name, why = self._named_before(device, _dict_in(facts, "uuids"))
        if used and why:
            return None, why
        value = used.get(name)
        if not isinstance(value, (int, float)):
            return None, "it was not recorded"
        return float(value), ""

    def _named_before(self, device: str, before: dict[str, Any]) -> tuple[str, str]:
        """(the name of this unit in the provenance, "") or ("", why it is not known).

        The provenance is gathered on the host. In a container that is given some of its GPUs the
        same name stands for another one.
        """
        units = self.run.last("gpu_units")
        uuid = _dict_in(units[1].detail, "uuids").get(device) if units else None
        if uuid and before:
            names = [name for name, one in before.items() if one == uuid]
            return (names[0], "") if names else ("", "no GPU with this UUID was seen then")
        if self.run.config.get("backend") == "docker":
            return "", "which GPU of the host this is was not recorded"
        return device, ""


def _dict_in(facts: Any, key: str) -> dict[str, Any]:
    found = facts.get(key) if isinstance(facts, dict) else None
    return found if isinstance(found, dict) else {}
