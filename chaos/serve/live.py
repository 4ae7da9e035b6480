"""A run as it goes on, as data for a page: its texts, and the points of its signals.

Follows the history from its beginning. What it holds is bounded: of a long curve, each peak and
trough. Must not know how it is sent or drawn.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from chaos.base.below import open_below, read_below
from chaos.base.errors import ChaosError
from chaos.base.printable import bounded, printable
from chaos.base.units import duration_text
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.history import FaultRecord, Phase, Record, Sample
from chaos.report.course import PANELS, PanelKind, Signal
from chaos.report.follow import Tail
from chaos.report.progress import Progress

STEP_BYTES = 4 << 20  # of the history, read in one step
POINTS_MAX = 2000  # of one curve
_SPANS_MAX = 500  # phases and fault windows
_JSON_BYTES_MAX = 4 << 20
_TEXT_MAX = 400
# What a record of others may make the texts raise: a word where a number belongs, and the like.
_ODD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
Point = tuple[float, float]


class LiveRun:
    """The state of one run. `advance` reads on; `update` is what a page needs to show it.

    Raises `ChaosError` if its plan or schedule cannot be read.
    """

    def __init__(
        self, root: Path, run_id: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        plan = Plan.from_json(_json(root, f"{run_id}/config.json"))
        schedule = Schedule.from_json(_json(root, f"{run_id}/schedule.json"))
        self._progress = Progress(plan, schedule)
        self.planned = _planned(plan, schedule)
        self._tail = Tail(lambda: _opened(root, f"{run_id}/history.jsonl"))
        self._anchor = (clock(), 0.0)  # (time of `clock`, run time) at the last record
        self._new: dict[str, list[Point]] = {}
        self._phases: list[dict[str, Any]] = []
        self._windows: dict[str, dict[str, Any]] = {}
        self.values: Mapping[str, Any] = {}
        self.ended = False  # the record says so

    def close(self) -> None:
        """Close the history."""
        self._tail.close()

    def advance(self) -> bool:
        """Read on, one step at most. True if there was something new."""
        new = False
        for record in self._tail.records(STEP_BYTES):
            new = True
            self._anchor = (self._clock(), record.t_s)
            try:
                self._take(record)
            except _ODD:
                continue  # the judgement reports it
        return new

    @property
    def now_s(self) -> float:
        """The run time now; stands still once the record has ended."""
        clock_s, run_s = self._anchor
        return run_s if self.ended else run_s + self._clock() - clock_s

    @property
    def phase(self) -> str:
        """The name of the phase."""
        return self._progress.phase

    @property
    def in_force(self) -> list[tuple[str, str]]:
        """(id, name) of each fault that is in force."""
        return [(w["id"], w["name"]) for w in self._windows.values() if w["end_s"] is None]

    def update(self) -> dict[str, Any]:
        """The state as plain data, with the points that were not in an earlier update."""
        new, self._new = self._new, {}
        return {
            "now_s": round(self.now_s, 1),
            "ended": self.ended,
            "rows": self._rows(),
            "events": [_text(line) for line in self._progress.events],
            "phases": self._phases,
            "windows": list(self._windows.values()),
            "points": new,
        }

    def _take(self, record: Record) -> None:
        if isinstance(record, Sample):
            self.values = record.values
            for panel in PANELS:
                for number, signal in enumerate(panel.signals):
                    value = value_of(signal, record.values)
                    if value is not None:
                        points = self._new.setdefault(f"{panel.key}.{number}", [])
                        points.append((record.t_s, value))
                        if len(points) > POINTS_MAX:
                            points[:] = thinned(points)
        elif isinstance(record, Phase):
            self.ended = record.name == "end"
            if self._phases:
                self._phases[-1]["end_s"] = record.t_s
            if len(self._phases) < _SPANS_MAX:
                self._phases.append(
                    {"name": _text(record.name), "start_s": record.t_s, "end_s": None}
                )
        elif isinstance(record, FaultRecord):
            self._take_fault(record)
        self._progress.take(record)

    def _take_fault(self, record: FaultRecord) -> None:
        window = self._windows.get(record.fault_id)
        if record.state == "injected" and len(self._windows) < _SPANS_MAX:
            self._windows[record.fault_id] = {
                "id": _text(record.fault_id),
                "name": _text(record.name),
                "start_s": record.t_s,
                "end_s": None,
            }
        elif record.state in ("recovered", "closed") and window and window["end_s"] is None:
            window["end_s"] = record.t_s

    def _rows(self) -> dict[str, Any]:
        """The texts of the terminal's live view, by the name of their row."""
        progress, now_s = self._progress, self.now_s
        try:
            left_s = progress.left_s(now_s)
            return {
                "phase": _text(progress.phase_text(now_s)),
                "left": "" if left_s is None else f"{duration_text(left_s)} left in all",
                "share": round(progress.done_s(now_s) / (progress.total_s() or 1.0), 3),
                "fault": _text(progress.fault_text(now_s)),
                "striking": progress.current() is not None,
                "requests": _text(progress.queue_text()),
                "work": _text(progress.work_text()),
                "watcher": _text(progress.watcher_text()),
                "llm": _text(progress.llm_text()),
            }
        except _ODD:
            return {"phase": "the last sample cannot be shown: it has other values than expected"}


def value_of(signal: Signal, values: Mapping[str, Any]) -> float | None:
    """The value of a panel's signal in one sample; None if none of its keys is there."""
    present = [values[key] for key in signal.keys if values.get(key) is not None]
    numbers = [float(value) for value in present if isinstance(value, (int, float))]
    total = sum(numbers) * signal.factor
    return total if numbers and math.isfinite(total) else None


def thinned(points: list[Point]) -> list[Point]:
    """Half of the points at most: of each four in a row the lowest and the highest."""
    kept: list[Point] = []
    for start in range(0, len(points), 4):
        four = points[start : start + 4]
        low = min(four, key=lambda point: point[1])
        high = max(four, key=lambda point: point[1])
        kept += sorted({low, high})
    return kept


def _planned(plan: Plan, schedule: Schedule) -> dict[str, Any]:
    """What is to come: the lengths of the phases, and the faults, from the start of the storm."""
    profile = plan.profile
    return {
        "phases": [
            ["baseline", profile.baseline_s],
            ["storm", profile.storm_s],
            ["quiet", profile.quiet_s],
        ],
        "faults": [
            [_text(item.fault_id), _text(item.name), item.start_ms / 1000, item.hold_ms / 1000]
            for item in schedule.items[:_SPANS_MAX]
        ],
    }


def panels(*kinds: PanelKind) -> list[dict[str, Any]]:
    """The plots of a page, and their curves: `memory.0` is the first one of plot `memory`."""
    return [
        {
            "key": panel.key,
            "title": panel.title,
            "unit": panel.unit,
            "steps": panel.steps,
            "dots": panel.dots,
            "curves": [signal.name for signal in panel.signals],
        }
        for panel in kinds
    ]


def _opened(root: Path, relative: str) -> BinaryIO:
    try:
        return open_below(root, relative)
    except FileNotFoundError:
        raise
    except OSError as error:  # a link, a pipe, not ours to read
        raise ChaosError(f"cannot be read: {error.strerror}", place=str(root / relative)) from error


def _json(root: Path, relative: str) -> dict[str, Any]:
    try:
        content = json.loads(read_below(root, relative, _JSON_BYTES_MAX))
    except OSError as error:
        raise ChaosError(
            f"cannot be read: {error.strerror}",
            place=str(root / relative),
            next_step="the run was cut off before it was written, or it was changed",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ChaosError(f"not JSON: {error}", place=str(root / relative)) from error
    return content if isinstance(content, dict) else {}


def _text(text: str) -> str:
    return bounded(printable(text), _TEXT_MAX)
