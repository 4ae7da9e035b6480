"""One scheduled fault and what became of it, from its records in the history."""

from dataclasses import dataclass, field
from typing import Any

from chaos.record.history import FaultRecord, FaultState

# A fault is armed ahead of its moment and may act a little before its call has returned.
_EARLY_S = 1.0


@dataclass
class FaultWindow:
    """One occurrence of a fault. Times in run seconds."""

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
    def undo(self) -> dict[str, Any]:
        """Its undo record."""
        undo = self.evidence("armed").get("undo")
        return undo if isinstance(undo, dict) else {}

    @property
    def planted(self) -> dict[str, str]:
        """Files that the fault put into the queue itself -> what must become of each:
        `quarantined`, `archived`, `once` (either, but only once) or `gone`.
        """
        planted = self.undo.get("planted")
        return {str(name): str(end) for name, end in (planted or {}).items()}

    @property
    def submitted_after(self) -> tuple[FaultState, str] | None:
        """(state whose record says so, request that the fault submitted while it recovered)."""
        states: tuple[FaultState, ...] = ("recovery_unproven", "recovered")
        for state in states:
            if name := self.evidence(state).get("submitted_after"):
                return state, str(name)
        return None

    @property
    def ends(self) -> tuple[str, ...]:
        """Services that the kind ends by its nature."""
        return tuple(self.trait("ends") or ())

    @property
    def last_line(self) -> int:
        """Line of its last record in the history, 0 without any."""
        return max((line for line, _ in self.states.values()), default=0)

    @property
    def label(self) -> str:
        """Id and kind, for people."""
        return f"{self.fault_id} {self.name}"

    def ref(self, state: FaultState) -> str:
        """Reference to the record of `state`."""
        return f"history.jsonl:{self.states[state][0]}"

    @property
    def last_ref(self) -> str:
        """Reference to its last record, or to the schedule."""
        return f"history.jsonl:{self.last_line}" if self.states else "schedule.json"

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

    def until_s(self, run_end_s: float) -> float:
        """End of its window: recovery proven, else the end of the time allowed for proving it.

        A fault that never recovers excuses nothing after its own limit. The end of the run counts
        only where the run ended before that limit.
        """
        for state in ("recovered", "recovery_unproven"):
            if (at_s := self.at_s(state)) is not None:
                return at_s
        return run_end_s

    @property
    def affects_llm(self) -> bool:
        """Whether a decision without the LLM is legal while it lasts."""
        declared = self.trait("affects_llm")
        if declared is not None:
            return bool(declared)
        return bool(self.evidence("effect_proven").get("cuts_llm"))

    def cut_s(self, run_end_s: float) -> tuple[float, float] | None:
        """The time in which, proven, no answer of the LLM can have reached the daemon.

        From the injection on, not from its proof: the proof only shows what was in force before.
        """
        start_s, end_s = self.at_s("injected"), self.at_s("recovering")
        if start_s is None or not self.evidence("effect_proven").get("cuts_llm"):
            return None
        return start_s, run_end_s if end_s is None else end_s
