"""The state of a run while it goes on, from its records, and its texts for the live view.

Pure: no clock (the caller gives the run time) and no output. `live.py` draws with it.
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from chaos.base.units import bytes_text, duration_text
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule, ScheduledFault
from chaos.record.history import Event, FaultRecord, FaultState, Header, Op, Phase, Record, Sample

EVENTS_MAX = 60  # the highest terminal shows fewer

_STATE_TEXT: dict[FaultState, str] = {
    "unavailable": "cannot be injected here",
    "armed": "armed",
    "injected": "injected",
    "effect_proven": "effect proven",
    "effect_unproven": "EFFECT NOT PROVEN",
    "recovering": "recovering",
    "recovered": "recovery proven",
    "recovery_unproven": "RECOVERY NOT PROVEN",
    "closed": "closed",
}
_ACTIVE: frozenset[FaultState] = frozenset(
    {"injected", "effect_proven", "effect_unproven", "recovering"}
)
_SILENT_STATES: frozenset[FaultState] = frozenset({"armed", "recovering", "closed"})
_BEFORE_PLAN = frozenset({"preparing", "preflight", "provision"})
_AFTER_STORM = frozenset({"quiet", "halt", "collect", "end"})
_OF_STACK = ("watcher.", "llm.")  # signals without a meaning once the stack is down
_SHOWN_EVENTS = (
    "provisioning", "ready", "injector_started", "injector_stopped", "drained", "halted",
    "guardrail", "stopped", "cleanup",
)  # fmt: skip


class Progress:
    """The state of one run. `take` gets every record; the other methods return texts."""

    def __init__(self, plan: Plan, schedule: Schedule) -> None:
        self._lengths_s = {
            "baseline": plan.profile.baseline_s,
            "storm": plan.profile.storm_s,
            "quiet": plan.profile.quiet_s,
        }
        self._schedule = schedule
        self.phase = "preparing"
        self.phase_since_s = 0.0
        self.storm_since_s: float | None = None
        self.values: Mapping[str, Any] = {}
        self.states: dict[str, tuple[FaultState, float]] = {}
        self._draws_before = 0  # the draws of the bootstrap history
        self.events: deque[str] = deque(maxlen=EVENTS_MAX)

    def take(self, record: Record) -> str | None:
        """Update the state. Returns the line to show for this record, if any."""
        if isinstance(record, Sample):
            self.values = record.values
            return None
        if isinstance(record, (Header, Op)):
            return None
        line = self._line(record)
        if line is not None:
            self.events.append(f"{record.t_s:7.1f} s  {line}")
        return line

    def _line(self, record: Phase | FaultRecord | Event) -> str | None:
        if isinstance(record, Phase):
            self.phase, self.phase_since_s = record.name, record.t_s
            if record.name == "storm":
                self.storm_since_s = record.t_s
            if record.name in ("collect", "end"):  # the stack has been stopped
                self.values = {k: v for k, v in self.values.items() if not k.startswith(_OF_STACK)}
            length_s = self._lengths_s.get(record.name)
            return f"{record.name}{f', {duration_text(length_s)}' if length_s else ''}"
        if isinstance(record, FaultRecord):
            self.states[record.fault_id] = (record.state, record.t_s)
            if record.state in _SILENT_STATES:
                return None
            reason = record.evidence.get("reason") or record.evidence.get("error")
            text = f"{record.fault_id} {record.name}: {_STATE_TEXT[record.state]}"
            return f"{text} ({reason})" if reason else text
        if record.name == "baseline_files":
            self._draws_before = int(record.detail.get("draws", 0))
        if record.severity == "info" and record.name not in _SHOWN_EVENTS:
            return None
        return event_text(record)

    def phase_left_s(self, now_s: float) -> float | None:
        """Seconds until the planned end of the phase; None if its length is not planned."""
        length_s = self._lengths_s.get(self.phase)
        return None if length_s is None else max(0.0, self.phase_since_s + length_s - now_s)

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the end of the quiet phase; None after it (draining, halting...)."""
        if self.phase in _BEFORE_PLAN:
            return self.total_s()
        names = list(self._lengths_s)
        left_s = self.phase_left_s(now_s)
        if self.phase not in names or left_s is None:
            return None
        if self.phase == names[-1] and left_s == 0.0:
            return None
        return left_s + sum(self._lengths_s[n] for n in names[names.index(self.phase) + 1 :])

    def total_s(self) -> float:
        """The planned length of all phases, in seconds."""
        return sum(self._lengths_s.values())

    def done_s(self, now_s: float) -> float:
        """The finished part of `total_s`, in seconds; it never gets smaller."""
        if self.phase in _BEFORE_PLAN:
            return 0.0
        names = list(self._lengths_s)
        if self.phase not in names:
            return self.total_s()
        before_s = sum(self._lengths_s[name] for name in names[: names.index(self.phase)])
        return before_s + min(self._lengths_s[self.phase], max(0.0, now_s - self.phase_since_s))

    def strikes(self) -> list[tuple[float, float]]:
        """(begin, end) of each scheduled fault on the scale of `done_s`."""
        before_s = self._lengths_s["baseline"]
        return [
            (before_s + item.start_ms / 1000, before_s + (item.start_ms + item.hold_ms) / 1000)
            for item in self._schedule.items
        ]

    def phase_text(self, now_s: float) -> str:
        """'storm, 42 s left'."""
        left_s = self.phase_left_s(now_s)
        if left_s is None:
            return self.phase
        if self.phase == "quiet" and left_s == 0.0:
            end_s = self.phase_since_s + self._lengths_s["quiet"]
            return f"quiet, draining since {duration_text(now_s - end_s)}"
        return f"{self.phase}, {duration_text(left_s)} left"

    def current(self) -> ScheduledFault | None:
        """The fault that is in force now."""
        return self._first_in(_ACTIVE)

    def _first_in(self, states: Collection[FaultState | None]) -> ScheduledFault | None:
        """The first scheduled fault in one of `states`; None stands for no record of it."""
        for item in self._schedule.items:
            state, _ = self.states.get(item.fault_id, (None, 0.0))
            if state in states:
                return item
        return None

    def fault_text(self, now_s: float) -> str:
        """The current fault with its countdown, and the next one."""
        item, parts = self.current(), []
        if item is not None:
            state, since_s = self.states[item.fault_id]
            text = f"{item.fault_id} {item.name}: {_STATE_TEXT[state]}"
            ends_s = self._start_s(item, since_s) + item.hold_ms / 1000
            if state != "recovering":
                text += f", heals in {duration_text(max(0.0, ends_s - now_s))}"
            parts.append(text)
        following = self._first_in((None, "armed"))
        if following is not None and self.phase in _AFTER_STORM:
            parts.append(f"not injected: {following.fault_id} and those after it")
        elif following is not None:
            if self.storm_since_s is None:
                parts.append(f"next {following.fault_id} {following.name}")
            else:
                in_s = max(0.0, self._start_s(following, 0.0) - now_s)
                parts.append(f"next {following.fault_id} in {duration_text(in_s)}")
        if parts:
            return "; ".join(parts)
        return "all finished" if self._schedule.items else "none scheduled"

    def _start_s(self, item: ScheduledFault, otherwise_s: float) -> float:
        if self.storm_since_s is None:
            return otherwise_s
        return self.storm_since_s + item.start_ms / 1000

    def queue_text(self) -> str:
        """'2 pending, 1 claimed, 14 archived'."""
        parts = [
            f"{self.values[f'queue.{name}']} {name}"
            for name in ("pending", "claimed", "archived", "quarantined")
            if f"queue.{name}" in self.values
        ]
        return ", ".join(parts) or "-"

    def work_text(self) -> str:
        """'14 cycles, 17 decisions, 3 fallbacks, 29 draws, 2 candidates'."""
        names = (
            ("decisions.completed", "cycles"),
            ("decisions.lines", "decisions"),
            ("decisions.fallbacks", "fallbacks"),
            ("candidates.count", "candidates"),
        )
        parts = [f"{self.values[key]} {word}" for key, word in names if key in self.values]
        draws = self.values.get("draws.count")
        if isinstance(draws, int):
            parts.insert(3, f"{draws - self._draws_before} draws")
        return ", ".join(parts) or "-"

    def watcher_text(self) -> str:
        """'pid 17, 31.5 MB, 6 descriptors, 2 threads'."""
        values = self.values
        if values.get("watcher.pid") is None:
            return "not running" if values else "-"
        memory = [values.get("watcher.rss_anon_bytes"), values.get("watcher.swap_bytes")]
        parts = [f"pid {values['watcher.pid']}"]
        if any(part is not None for part in memory):
            parts.append(bytes_text(sum(float(part) for part in memory if part is not None)))
        for key, noun, nouns in (
            ("fds", "descriptor", "descriptors"),
            ("threads", "thread", "threads"),
            ("children", "child", "children"),
        ):
            if count := values.get(f"watcher.{key}"):
                parts.append(f"{count} {noun if count == 1 else nouns}")
        return ", ".join(parts)

    def llm_text(self) -> str:
        """'ok, pid 44, 1 in work, 0 waiting'."""
        values = self.values
        if "llm.health" not in values:
            return "-"
        parts = [str(values["llm.health"])]
        if values.get("llm.pid") is not None:
            parts.append(f"pid {values['llm.pid']}")
        for key, word in (("requests_processing", "in work"), ("requests_deferred", "waiting")):
            if f"llm.{key}" in values:
                parts.append(f"{values[f'llm.{key}']:g} {word}")
        return ", ".join(parts)

    def heartbeat(self, now_s: float) -> str:
        """The whole state on one line."""
        memory = self.values.get("watcher.rss_anon_bytes")
        parts = [
            self.phase_text(now_s),
            f"fault {self.fault_text(now_s)}" if self._schedule.items else "",
            f"queue {self.queue_text()}",
            self.work_text(),
            f"Watcher {bytes_text(float(memory))}" if memory is not None else "",
            f"LLM {self.values['llm.health']}" if "llm.health" in self.values else "",
        ]
        return " | ".join(part for part in parts if part)


def event_text(event: Event) -> str:
    """An event as a sentence; one without a sentence as its name and detail, shortened."""
    detail = event.detail
    took = duration_text(float(detail.get("took_s", 0.0)))
    match event.name:
        case "provisioning":
            return str(detail.get("step", ""))
        case "ready":
            return f"stack ready in {took}"
        case "drained" if detail.get("in_time"):
            return f"queue drained in {took}"
        case "drained":
            return f"queue NOT drained after {took}: {detail.get('pending')} waiting"
        case "halted":
            return f"Watcher {'did NOT halt' if detail.get('killed') else 'halted'} in {took}"
        case "stopped" if detail.get("reason") == "complete":
            return "complete"
        case "stopped":
            return f"stopped early ({detail.get('reason')}): {detail.get('message', '')}"
        case "cleanup" if detail.get("complete"):
            return "clean-up complete"
        case "cleanup":
            return f"CLEAN-UP INCOMPLETE: {', '.join(map(str, detail.get('left', [])))}"
        case "guardrail":
            measured, limit = detail.get("measured"), detail.get("limit")
            return f"guardrail {detail.get('name')}: {measured}, limit {limit}"
        case "problem":
            return f"problem: {detail.get('message', '')}"
    pairs = ", ".join(f"{key}={value}" for key, value in detail.items())
    text = f"{event.name.replace('_', ' ')}: {pairs}" if pairs else event.name.replace("_", " ")
    return text if len(text) <= 160 else f"{text[:157]}..."
