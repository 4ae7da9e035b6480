"""A run directory as checks see it: config, history, fault windows, the Watcher's files.

Read once. Samples are kept as columns of numbers (`samples`), everything else as records, so that
memory stays small however long the run was. Must not import anything that runs things.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.base.errors import ChaosError
from chaos.checks.clock import jumps_of
from chaos.checks.finding import Evidence
from chaos.checks.plan_record import read_schedule
from chaos.checks.watcher_files import WatcherFiles
from chaos.record.history import (
    UNREADABLE,
    Event,
    FaultRecord,
    FaultState,
    Header,
    Op,
    Phase,
    Sample,
    decoded,
)
from chaos.record.rundir import RunDir
from chaos.record.target import Target

if TYPE_CHECKING:  # numpy is not needed to check the names of criteria
    import numpy as np
    import numpy.typing as npt

    from chaos.checks.line_blocks import LineBlock
    from chaos.checks.sample_table import Column, SampleTable

# Kinds that keep every answer of the LLM from the Watcher while their effect lasts. Any other
# kind may say so of itself by `"cuts_llm": true` in the evidence of its effect.
_CUTS_LLM = frozenset({"llm_timeout"})
# A fault is armed ahead of its moment and may act a little before its call has returned.
_EARLY_S = 1.0
MEASURED_PHASES = ("baseline", "storm", "quiet")


@dataclass
class FaultWindow:
    """One scheduled fault and what became of it; times in run seconds."""

    fault_id: str
    name: str
    states: dict[FaultState, tuple[int, FaultRecord]] = field(default_factory=dict)

    def at_s(self, state: FaultState) -> float | None:
        """When it reached `state`, or None."""
        return self.states[state][1].t_s if state in self.states else None

    def evidence(self, state: FaultState) -> dict[str, Any]:
        """What was measured with `state`; empty when it was not reached."""
        return self.states[state][1].evidence if state in self.states else {}

    def trait(self, name: str) -> Any:
        """What the kind says of itself (`chaos.faults.base.Fault`); None where not recorded."""
        traits = self.evidence("armed").get("traits")
        return traits.get(name) if isinstance(traits, dict) else None

    @property
    def planted(self) -> dict[str, str]:
        """Files that the fault put into the queue itself -> what must become of each:
        `quarantined`, `archived`, `once` (either, but only once) or `gone`.
        """
        undo = self.evidence("armed").get("undo")
        planted = undo.get("planted") if isinstance(undo, dict) else None
        return {str(name): str(end) for name, end in (planted or {}).items()}

    def ref(self, state: FaultState) -> str:
        """Reference to the record of `state`."""
        return f"history.jsonl:{self.states[state][0]}"

    @property
    def start_s(self) -> float | None:
        """When the call that breaks the stack had returned."""
        return self.at_s("injected")

    @property
    def end_s(self) -> float | None:
        """When recovery was proven."""
        return self.at_s("recovered")

    @property
    def earliest_s(self) -> float | None:
        """The first moment at which it can have acted: the call that breaks may take its time."""
        start_s = self.start_s
        if start_s is None:
            return None
        armed_s = self.at_s("armed")
        took_ms = self.evidence("injected").get("took_ms")
        early_s = _EARLY_S + (took_ms / 1000 if isinstance(took_ms, (int, float)) else 0.0)
        return start_s if armed_s is None else max(armed_s, start_s - early_s)

    @property
    def is_llm(self) -> bool:
        """Whether a decision without the LLM is legal while it lasts."""
        told = self.trait("affects_llm")
        if told is not None:
            return bool(told)
        return self.name.startswith("llm_") or bool(self.evidence("effect_proven").get("cuts_llm"))

    @property
    def cut_s(self) -> tuple[float, float] | None:
        """The time in which, proven, no answer of the LLM can have reached the Watcher.

        From the injection on, not from its proof: the proof only shows what was in force before.
        """
        evidence = self.evidence("effect_proven")
        start_s, end_s = self.at_s("injected"), self.at_s("recovering")
        if start_s is None or self.at_s("effect_proven") is None:
            return None
        if not evidence.get("cuts_llm", self.name in _CUTS_LLM):
            return None
        return start_s, float("inf") if end_s is None else end_s


class _Config(msgspec.Struct):
    """What is read of `config.json`, whichever version wrote it."""

    seed: int | None = None
    profile: dict[str, Any] = {}
    criteria: dict[str, dict[str, Any]] = {}


def _config_of(run: RunDir) -> dict[str, Any]:
    """The content of `config.json`; `ChaosError` where it has another shape."""
    content = run.read_json(run.config)
    try:
        msgspec.convert(content, _Config)
    except msgspec.ValidationError as error:
        raise ChaosError(
            f"it was changed, or another version wrote it: {error}",
            place=str(run.config),
            next_step="restore the file, or judge the run with the version of chaos that made it",
        ) from error
    return content


def _empty_table() -> tuple[SampleTable, bytes]:
    from chaos.checks.sample_table import PREFIX, SampleTable

    return SampleTable(), PREFIX


class RunView:
    """See the module. `damage` says what is wrong with the history, "" when it is whole."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.config = _config_of(run)
        self.schedule, self.schedule_damage = read_schedule(run)
        self.target = self._read_target()
        self.header = Header(t_s=0.0, run_id="", wall_epoch_s=0.0)
        self.phases: list[tuple[int, Phase]] = []
        self.ops: list[tuple[int, Op]] = []
        self.events: list[tuple[int, Event]] = []
        self.samples, self._sample_prefix = _empty_table()
        self.end_s = 0.0
        self.lines = 0
        self.damage = ""
        self._faults: dict[str, FaultWindow] = {
            item["fault_id"]: FaultWindow(item["fault_id"], item["name"])
            for item in self.schedule.get("items", [])
        }
        self._read_history()
        self.torn = self._ends_torn()
        self.jumps = jumps_of(self.faults, self.end_s)
        self.files = WatcherFiles(run.artefacts, self.target, self.header.wall_epoch_s, self.jumps)

    def _read_target(self) -> Target:
        try:
            return msgspec.convert(self.config.get("target"), Target)
        except msgspec.ValidationError as error:
            raise ChaosError(
                f"the target in it cannot be read: {error}",
                place=str(self.run.config),
                next_step="judge it with the version of chaos that made the run",
            ) from error

    def _read_history(self) -> None:
        from chaos.checks.line_blocks import line_blocks

        try:
            with self.run.history.open("rb") as stream:
                for block in line_blocks(stream):
                    self._read_block(block)
        except FileNotFoundError:
            self.damage = "history.jsonl is missing: the run was cut off before it began"
        except OSError as error:
            self.damage = f"history.jsonl cannot be read: {error.strerror}"
        except UNREADABLE as error:
            self.damage = f"history.jsonl:{self.lines + 1}: not a history record: {error}"

    def _read_block(self, block: LineBlock) -> None:
        for first, last, sampled in block.runs(self._sample_prefix):
            times = self.samples.add_lines(block, first, last) if sampled else None
            if times is not None:
                self.lines = block.number + last - 1
                self.end_s = max(self.end_s, *times)
                continue
            for number, line in block.lines(first, last):
                if line.endswith(b"\n"):  # else torn by a crash; what came before is whole
                    self._read_line(number, line)

    def _read_line(self, number: int, line: bytes) -> None:
        if line.startswith(self._sample_prefix):
            try:
                t_s = self.samples.add_line(number, line)
            except UNREADABLE:
                pass  # whether it is a record at all, the general decoder says
            else:
                self.lines = number
                self.end_s = max(self.end_s, t_s)
                return
        record = decoded(line)
        self.lines = number
        self.end_s = max(self.end_s, record.t_s)
        match record:
            case Sample():
                self.samples.add(number, record.t_s, record.values)
            case Header():
                self.header = record
            case Phase():
                self.phases.append((number, record))
            case Op():
                self.ops.append((number, record))
            case Event():
                self.events.append((number, record))
            case FaultRecord():
                self._note_fault(number, record)

    def _note_fault(self, line: int, record: FaultRecord) -> None:
        window = self._faults.setdefault(record.fault_id, FaultWindow(record.fault_id, record.name))
        window.states.setdefault(record.state, (line, record))

    def _ends_torn(self) -> bool:
        try:
            with self.run.history.open("rb") as stream:
                if stream.seek(0, 2) == 0:
                    return False
                stream.seek(-1, 2)
                return stream.read(1) != b"\n"
        except OSError:
            return False

    # -- config -------------------------------------------------------------------------------

    @property
    def profile(self) -> dict[str, Any]:
        """The profile's values."""
        return dict(self.config.get("profile", {}))

    @property
    def criteria(self) -> dict[str, dict[str, Any]]:
        """Criterion name -> its parameters; empty where the config names none."""
        criteria = self.config.get("criteria")
        return dict(criteria) if isinstance(criteria, dict) else {}

    # -- history ------------------------------------------------------------------------------

    @property
    def faults(self) -> list[FaultWindow]:
        """All scheduled faults, in the order of the schedule."""
        return list(self._faults.values())

    @cached_property
    def incomplete(self) -> str:
        """Why the collected files are not all of the Watcher's; "" when they are."""
        from chaos.checks.collection import incomplete

        return incomplete(self)

    @cached_property
    def injected_faults(self) -> list[tuple[FaultWindow, float, float]]:
        """(fault, start, end) for each that was injected; end of the run if never recovered."""
        return [
            (w, w.start_s, self.end_s if w.end_s is None else w.end_s)
            for w in self.faults
            if w.start_s is not None
        ]

    def in_faults(self, t_s: Column) -> npt.NDArray[np.bool_]:
        """For each time whether a fault was in force then, or being healed."""
        inside: npt.NDArray[np.bool_] = t_s != t_s
        for _, start_s, end_s in self.injected_faults:
            inside |= (t_s >= start_s) & (t_s <= end_s)
        return inside

    def named(self, name: str) -> list[tuple[int, Event]]:
        """(line, event) for each event called `name`."""
        return [(line, event) for line, event in self.events if event.name == name]

    def last(self, name: str) -> tuple[int, Event] | None:
        """The last event called `name`."""
        found = self.named(name)
        return found[-1] if found else None

    @cached_property
    def sample_gap(self) -> tuple[float, int]:
        """(seconds, line) of the longest time without a sample in a measured phase."""
        import numpy as np

        if len(self.samples) < 2 or not self.phases:
            return 0.0, 0
        starts = np.array([line for line, _ in self.phases])
        measured = np.array([phase.name in MEASURED_PHASES for _, phase in self.phases])
        lines = self.samples.lines[1:]
        phase = np.searchsorted(starts, lines) - 1
        gaps = np.where((phase >= 0) & measured[phase], np.diff(self.samples.t_s), 0.0)
        longest = int(np.argmax(gaps))
        return round(float(gaps[longest]), 3), int(lines[longest])

    def phase_s(self, name: str) -> float | None:
        """When phase `name` began, or None."""
        return next((phase.t_s for _, phase in self.phases if phase.name == name), None)

    def measured_span_s(self) -> tuple[float, float]:
        """From the beginning of the baseline to the halt (or the end of the record)."""
        start_s = self.phase_s("baseline")
        if start_s is None:
            return self.end_s, self.end_s
        ends = [self.phase_s(name) for name in ("halt", "collect", "end")]
        return start_s, next((end for end in ends if end is not None), self.end_s)

    @property
    def stopped(self) -> str:
        """complete, interrupt, guardrail, error, or "" when the harness was cut off."""
        found = self.last("stopped")
        return str(found[1].detail.get("reason", "error")) if found else ""

    @property
    def ran_to_end(self) -> bool:
        """Whether the run went its whole course, so that what is missing is really missing."""
        return self.stopped == "complete" and not self.damage

    def evidence(self, line: int, text: str) -> Evidence:
        """Evidence that points into the history."""
        return Evidence(f"history.jsonl:{line}", text)
