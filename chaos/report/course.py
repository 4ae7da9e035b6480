"""The course of a run, gathered for drawing: curves and lanes, each of bounded size.

One pass over the history and one over the decisions. Knows nothing of drawing.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.base.errors import ChaosError
from chaos.checks.clock import ClockJump, jumps_of
from chaos.checks.run_view import FaultWindow
from chaos.checks.watcher_files import WatcherFiles
from chaos.record.history import UNREADABLE, Event, FaultRecord, Op, Phase, Record, Sample, decoded
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.report.samples import PREFIX, SampleReader, total
from chaos.report.series import Curve, Numbers, Spans
from chaos.report.stored import Stored

_LANE_BUCKETS = 700  # about the pixels of a drawing
_MARKS_MAX = 200
_NOTABLE_MAX = 40


@dataclass(frozen=True)
class Signal:
    """A sampled value: its name in a legend, the key of the sample, and the factor to its unit."""

    name: str
    keys: tuple[str, ...]  # added up; absent ones count nothing, but one must be there
    factor: float = 1.0


@dataclass(frozen=True)
class PanelKind:
    """One plot: `source` is the name under which the record states the absence."""

    key: str
    title: str
    unit: str
    signals: tuple[Signal, ...]
    source: str
    steps: bool = False


_MB = 1e-6
PANELS = (
    PanelKind(
        "memory",
        "Memory of the Watcher",
        "MB",
        (Signal("anonymous + swap", ("watcher.rss_anon_bytes", "watcher.swap_bytes"), _MB),),
        "watcher",
    ),
    PanelKind(
        "descriptors",
        "Open descriptors and threads",
        "count",
        (
            Signal("descriptors", ("watcher.fds",)),
            Signal("threads", ("watcher.threads",)),
            Signal("children", ("watcher.children",)),
        ),
        "watcher",
        steps=True,
    ),
    PanelKind(
        "queue",
        "Request queue",
        "requests",
        (Signal("pending", ("queue.pending",)), Signal("claimed", ("queue.claimed",))),
        "queue",
        steps=True,
    ),
    PanelKind(
        "work",
        "Work done",
        "count",
        (
            Signal("requests archived", ("queue.archived",)),
            Signal("decisions", ("decisions.lines",)),
            Signal("of these fallbacks", ("decisions.fallbacks",)),
        ),
        "queue",
        steps=True,
    ),
    PanelKind(
        "disk",
        "Disk used in the workspace",
        "MB",
        (
            Signal("all files", ("disk.workspace_used_bytes",), _MB),
            Signal("logs", ("log.bytes",), _MB),
        ),
        "disk",
    ),
    PanelKind(
        "slots",
        "Slots of the LLM server",
        "requests",
        (
            Signal("processing", ("llm.requests_processing",)),
            Signal("deferred", ("llm.requests_deferred",)),
        ),
        "llm.metrics",
        steps=True,
    ),
    PanelKind(
        "gpu",
        "GPU memory",
        "MB",
        (
            Signal("GPU 0", ("gpu0.used_bytes",), _MB),
            Signal("LLM on GPU 0", ("gpu0.llm_bytes",), _MB),
            Signal("GPU 1", ("gpu1.used_bytes",), _MB),
        ),
        "gpu",
    ),
)


_WAITING = ("queue.pending", "queue.claimed")
_KEYS = tuple(dict.fromkeys(key for k in PANELS for signal in k.signals for key in signal.keys))


@dataclass
class Course:
    """Everything that is drawn. Times in run seconds."""

    end_s: float
    windows: list[tuple[str, float, float]]  # fault, start, end
    curves: dict[str, list[Curve]]  # panel -> a curve per signal
    answered: Curve  # latency in seconds of each LLM call, at its beginning
    unanswered: Curve
    phases: list[tuple[str, float]] = field(default_factory=list)  # name, start
    lanes: dict[str, Spans] = field(default_factory=dict)
    marks: dict[str, list[float]] = field(default_factory=dict)
    notable: list[tuple[int, Event]] = field(default_factory=list)  # warnings and errors
    absent: dict[str, str] = field(default_factory=dict)  # source -> why it was not there
    faults: dict[str, FaultWindow] = field(default_factory=dict)

    def lane(self, name: str) -> Spans:
        """The stretches called `name`."""
        if name not in self.lanes:
            self.lanes[name] = Spans(self.end_s, _LANE_BUCKETS)
        return self.lanes[name]

    def mark(self, name: str, t_s: float) -> None:
        """A moment called `name`; what is beyond a drawing's room is left out."""
        if len(found := self.marks.setdefault(name, [])) < _MARKS_MAX:
            found.append(t_s)

    def phase_spans(self) -> list[tuple[str, float, float]]:
        """(name, start, end) of each phase."""
        if not self.phases:  # a run that never began
            return []
        ends = [t_s for _, t_s in self.phases[1:]] + [self.end_s]
        return [(name, a, b) for (name, a), b in zip(self.phases, ends, strict=True)]


def course_of(stored: Stored) -> Course:
    """Read the history and the decisions of a judged run, once each."""
    verdict = stored.verdict
    end_s = max(verdict.lasted_s, 1e-3)
    course = Course(
        end_s=end_s,
        windows=[
            (
                f"{fault.fault_id} {fault.name}",
                fault.injected_s,
                end_s if fault.recovered_s is None else fault.recovered_s,
            )
            for fault in verdict.faults
            if fault.injected_s is not None
        ],
        curves={kind.key: [Curve(end_s) for _ in kind.signals] for kind in PANELS},
        answered=Curve(end_s),
        unanswered=Curve(end_s),
    )
    _read_history(stored.run, course)
    _read_decisions(_watcher_files(stored, jumps_of(course.faults.values(), end_s)), course)
    return course


def _read_history(run: RunDir, course: Course) -> None:
    waiting = _State(course.lane("waiting"))
    down = _State(course.lane("LLM not ready"))

    def take(t_s: Numbers, columns: dict[str, Numbers], healths: Sequence[str | None]) -> None:
        for kind in PANELS:
            for signal, curve in zip(kind.signals, course.curves[kind.key], strict=True):
                curve.add_many(t_s, total(columns, signal.keys) * signal.factor)
        waiting.take(t_s, total(columns, _WAITING) > 0)
        down.take(t_s, np.array([health not in (None, "ok") for health in healths]))

    reader = SampleReader(_KEYS, take)
    # A history that is missing or damaged is a finding already: drawn is what comes before.
    with contextlib.suppress(OSError, *UNREADABLE), run.history.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                break  # torn by a crash in mid-write
            if line.startswith(PREFIX):
                _take_sample(reader, line)
                continue
            record = decoded(line)
            if isinstance(record, Sample):
                _take_sample(reader, line)
            _take_record(course, number, record)
    reader.finish()
    for state in (waiting, down):
        state.finish()


def _take_sample(reader: SampleReader, line: bytes) -> None:
    with contextlib.suppress(msgspec.MsgspecError):  # a value that is not a number is not drawn
        reader.add_line(line)


def _take_record(course: Course, number: int, record: Record) -> None:
    match record:
        case FaultRecord():
            fault = course.faults.setdefault(
                record.fault_id, FaultWindow(record.fault_id, record.name)
            )
            fault.states.setdefault(record.state, (number, record))
        case Phase():
            course.phases.append((record.name, record.t_s))
        case Op(op="submit"):
            course.mark("submitted", record.t_s)
        case Event():
            _take_event(course, number, record)


def _take_event(course: Course, line: int, event: Event) -> None:
    if event.name == "source_absent":
        reason = str(event.detail.get("reason", "not there"))
        course.absent.setdefault(str(event.detail.get("source", "")), reason)
    if event.severity != "info":
        course.mark(event.severity, event.t_s)
        if len(course.notable) < _NOTABLE_MAX:
            course.notable.append((line, event))


class _State:
    """Samples of a state -> stretches: from the first that has it to the first that has not."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._since_s: float | None = None
        self._last_s = 0.0

    def take(self, t_s: Numbers, holds: npt.NDArray[np.bool_]) -> None:
        """A block of samples, in the order of time."""
        held = self._since_s is not None
        for index in np.flatnonzero(np.diff(holds, prepend=held)).tolist():
            if self._since_s is None:
                self._since_s = float(t_s[index])
            else:
                self._spans.add(self._since_s, float(t_s[index]))
                self._since_s = None
        self._last_s = float(t_s[-1])

    def finish(self) -> None:
        """What still holds, holds to the last sample."""
        if self._since_s is not None:
            self._spans.add(self._since_s, self._last_s)
            self._since_s = None


def _watcher_files(stored: Stored, jumps: tuple[ClockJump, ...]) -> WatcherFiles | None:
    try:
        target = msgspec.convert(stored.run.read_json(stored.run.config).get("target"), Target)
    except (ChaosError, msgspec.ValidationError):
        return None  # a run of another version: its decisions cannot be read, the rest can
    return WatcherFiles(stored.run.artefacts, target, stored.began_epoch_s or 0.0, jumps)


def _read_decisions(files: WatcherFiles | None, course: Course) -> None:
    if files is None:
        return
    table = files.decisions
    ends_s = table.end_s
    starts_s = np.where(np.isnan(table.start_s), ends_s, table.start_s)
    lanes = (
        ("by LLM", table.completed & ~table.fallback),
        ("by heuristic", table.completed & table.fallback),
        ("failed", ~table.completed),
    )
    for name, which in lanes:
        course.lane(name).add_many(starts_s[which], ends_s[which])
    if len(ends_s) <= _MARKS_MAX:  # more could not be told apart
        course.marks["decided"] = [t_s for t_s in ends_s.tolist() if math.isfinite(t_s)]
    took_s = table.call_end_s - table.call_start_s
    for name, curve, which in (
        ("answered", course.answered, table.call_ok),
        ("unanswered", course.unanswered, ~table.call_ok),
    ):
        curve.add_many(table.call_start_s[which], took_s[which])
        course.lane(name).add_many(table.call_start_s[which], table.call_end_s[which])
