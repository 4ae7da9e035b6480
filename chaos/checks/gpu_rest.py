"""When GPU memory must be free, and what was in use then: stops of the LLM server, gaps between
dispatches, the time outside fault windows.

Readings lag: the driver is asked twice in a second and samples repeat the answer, and memory is
freed a moment after its process. Only a rest that lasted long enough can show anything. Knows no
limit and no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chaos.base.errors import ChaosError
from chaos.checks.run_view import RunView
from chaos.record.history import UNREADABLE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Column = npt.NDArray[np.float32]

_LAG_S = 0.5  # where the record does not say how often the driver was asked
_SETTLE_S = 0.5
_LLM_MOST = 100_000  # stops looked at

Span = tuple[float, float]


@dataclass(frozen=True)
class Low:
    """The lowest use in some time, and the line of the history that shows it."""

    used_bytes: float
    line: int
    t_s: float
    work: float = 0.0  # requests completed by then


class Rests:
    """Asks one run. Times in run seconds."""

    def __init__(self, view: RunView) -> None:
        self.view = view
        start_s, end_s = view.measured_span_s()
        third_s = (end_s - start_s) / 3
        self.early: Span = (start_s, start_s + third_s)
        self.late: Span = (end_s - third_s, end_s)
        self.span: Span = (start_s, end_s)

    @cached_property
    def lag_s(self) -> float:
        """How old the last reading of a GPU in a sample may be."""
        told = self.view.last("sampler")
        periods = told[1].detail.get("repeated_s") if told else None
        lag_s = periods.get("gpu") if isinstance(periods, dict) else None
        return float(lag_s) if isinstance(lag_s, (int, float)) else _LAG_S

    @cached_property
    def unmasked(self) -> Mask:
        """The samples that no fault, nor the time it takes to see its end, has touched."""
        t_s = self.view.samples.t_s
        masked: Mask = t_s != t_s
        after_s = self.lag_s + _SETTLE_S
        for _, since_s, until_s in self.view.injected_faults:
            masked |= (t_s >= since_s) & (t_s <= until_s + after_s)
        kept: Mask = ~masked
        return kept

    @cached_property
    def llm_stops(self) -> list[Span]:
        """From the end of each server to the start of the next one, of those long enough to see.

        Empty where there is no record of servers.
        """
        events = self.view.files.llm_events
        if events is None:
            return []
        found: list[Span] = []
        gone_s: float | None = None
        try:
            for event in events:
                if event.event in ("gone", "crashed"):
                    gone_s = event.t_s
                elif event.event == "start" and gone_s is not None:
                    found.append((gone_s, event.t_s))
                    gone_s = None
                    if len(found) >= _LLM_MOST:
                        break
        except (OSError, *UNREADABLE):
            return []
        return self._seen(found)

    @cached_property
    def gaps(self) -> list[Span]:
        """From the end of each dispatch to the next one's beginning, if long enough to see."""
        import numpy as np

        table = self.view.files.decisions
        timed = table.dispatched & ~np.isnan(table.start_s) & ~np.isnan(table.end_s)
        # One Watcher works on one request at a time: each end is followed by the next start.
        starts, ends = np.sort(table.start_s[timed]), np.sort(table.end_s[timed])
        return self._seen(list(zip(ends[:-1].tolist(), starts[1:].tolist(), strict=True)))

    def _seen(self, spans: Sequence[Span]) -> list[Span]:
        shortest_s = self.lag_s + _SETTLE_S
        return [span for span in spans if span[1] - span[0] >= shortest_s]

    def low(self, values: Column, span: Span) -> Low | None:
        """The lowest of `values` in `span`, masked times left out."""
        import numpy as np

        table = self.view.samples
        there = self.unmasked & (values == values)
        there &= (table.t_s >= span[0]) & (table.t_s <= span[1])
        if not there.any():
            return None
        return self._at(int(np.argmin(np.where(there, values, np.inf))), values)

    def at_first(self, values: Column) -> float:
        """The first value of the run; 0 for an owner who held nothing yet, and so has none."""
        import numpy as np

        row = int(np.searchsorted(self.view.samples.t_s, self.span[0]))
        value = float(values[row]) if row < len(values) else 0.0
        return value if value == value else 0.0

    def middle(self, values: Column, span: Span) -> Low | None:
        """What is usual in `span` while the LLM server runs: the middle of the values."""
        import numpy as np

        table = self.view.samples
        there = self.unmasked & (values == values)
        there &= (table.t_s >= span[0]) & (table.t_s <= span[1])
        for since_s, until_s in self.llm_stops:
            there &= (table.t_s < since_s) | (table.t_s > until_s + self.lag_s)
        rows = np.flatnonzero(there)
        if not len(rows):
            return None
        return self._at(int(rows[np.argsort(values[rows])[len(rows) // 2]]), values)

    def lows(self, values: Column, spans: Sequence[Span]) -> list[Low]:
        """The lowest fresh value in each of `spans` that has one outside the masked times."""
        import numpy as np

        t_s = self.view.samples.t_s
        known = self.unmasked & (values == values)
        found = []
        for since_s, until_s in spans:
            first = int(np.searchsorted(t_s, since_s + self.lag_s))
            last = int(np.searchsorted(t_s, until_s + self.lag_s, side="right"))
            rows = first + np.flatnonzero(known[first:last])
            if len(rows):
                found.append(self._at(int(rows[np.argmin(values[rows])]), values))
        return found

    def seen_stopped(self, values: Column, span: Span) -> bool:
        """Whether `low` sees in `span` a time without the LLM server: a stop in a masked time, say,
        is one of which nobody knows what was in use.
        """
        import numpy as np

        t_s = self.view.samples.t_s
        known = self.unmasked & (values == values)
        for since_s, until_s in self.llm_stops:
            first = np.searchsorted(t_s, max(since_s + self.lag_s, span[0]))
            last = np.searchsorted(t_s, min(until_s + self.lag_s, span[1]), side="right")
            if known[first:last].any():
                return True
        return False

    def _at(self, row: int, values: Column) -> Low:
        table = self.view.samples
        work = float(table.column("decisions.completed")[row])
        return Low(
            float(values[row]),
            int(table.lines[row]),
            float(table.t_s[row]),
            work if work == work else 0.0,
        )

    def before_stack(self, device: str) -> tuple[float | None, str]:
        """(bytes in use of that unit before the stack was started, as the provenance has it, "") or
        (None, why it is not known).
        """
        try:
            facts = self.view.run.read_json(self.view.run.provenance).get("gpu")
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
        told = self.view.last("gpu_units")
        uuid = _dict_in(told[1].detail, "uuids").get(device) if told else None
        if uuid and before:
            names = [name for name, one in before.items() if one == uuid]
            return (names[0], "") if names else ("", "no GPU with this UUID was seen then")
        if self.view.config.get("backend") == "docker":
            return "", "which GPU of the host this is was not recorded"
        return device, ""


def _dict_in(facts: Any, key: str) -> dict[str, Any]:
    found = facts.get(key) if isinstance(facts, dict) else None
    return found if isinstance(found, dict) else {}
