"""The life of every fault, whatever its kind, and the storm that walks a schedule of them.

*available? -> ledger -> inject -> effect proven -> hold -> recover -> recovery proven -> ledger
closed.* Each step is a record in the history. What is slow (availability, the ledger's fsync)
happens before the scheduled moment, so that the injection itself is punctual, and every moment
is absolute, so that lateness never adds up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.deadline import Deadline
from chaos.errors import ChaosError
from chaos.faults.base import Evidence, Fault
from chaos.faults.ledger import Ledger, Open
from chaos.history import FaultRecord, FaultState, HistoryWriter
from chaos.stack.base import Stack

ARM_LEAD_S = 1.0
RECOVERY_LIMIT_S = 20.0
CANCELLED_RECOVERY_LIMIT_S = 2.0


@dataclass(frozen=True)
class Occurrence:
    """One scheduled fault: when it strikes (run time) and how long it holds, in seconds."""

    fault_id: str
    fault: Fault
    start_s: float
    hold_s: float


class Storm:
    """Walks occurrences one after the other; a cancelled storm heals at once and stops.

    `on_state` is called after each recorded state (the workload reacts to some of them). It
    must be quick and must not raise.
    """

    def __init__(
        self,
        stack: Stack,
        history: HistoryWriter,
        ledger: Ledger,
        cancel: threading.Event,
        *,
        on_state: Callable[[Occurrence, FaultState], None] | None = None,
    ) -> None:
        self._stack = stack
        self._history = history
        self._ledger = ledger
        self._cancel = cancel
        self._on_state = on_state

    def run(self, occurrences: Sequence[Occurrence]) -> None:
        """Live through all occurrences, by their start."""
        for occurrence in sorted(occurrences, key=lambda item: item.start_s):
            if self._cancel.is_set():
                return
            self._live(occurrence)

    def _live(self, occurrence: Occurrence) -> None:
        self._wait_until(occurrence.start_s - ARM_LEAD_S)
        if self._cancel.is_set() or not self._arm(occurrence):
            return
        self._wait_until(occurrence.start_s)
        if self._cancel.is_set():
            self._ledger.close(occurrence.fault_id, "cancelled before it acted")
            self._record(occurrence, "closed", why="cancelled before it acted")
            return
        try:
            self._break(occurrence)
        finally:
            self._heal(occurrence)

    def _arm(self, occurrence: Occurrence) -> bool:
        fault = occurrence.fault
        try:
            reason = fault.available(self._stack)
        except ChaosError as error:
            reason = error.message
        if reason is not None:
            self._record(occurrence, "unavailable", reason=reason)
            return False
        undo = fault.undo_record(self._stack)
        self._ledger.open(Open(occurrence.fault_id, fault.name, fault.scope, undo))
        self._record(occurrence, "armed", undo=undo)
        return True

    def _break(self, occurrence: Occurrence) -> None:
        """Inject, prove, hold. Harness trouble is recorded as an unproven effect."""
        start_s = self._history.now_s()
        try:
            occurrence.fault.inject(self._stack)
        except ChaosError as error:
            self._infrastructure(occurrence, "inject", error)
            self._record(occurrence, "effect_unproven", error=error.message)
            return
        self._record(
            occurrence,
            "injected",
            late_ms=round((start_s - occurrence.start_s) * 1000, 3),
            took_ms=round((self._history.now_s() - start_s) * 1000, 3),
        )
        end_s = occurrence.start_s + occurrence.hold_s
        try:
            left_s = max(0.0, end_s - self._history.now_s())
            evidence = occurrence.fault.effect(self._stack, Deadline(left_s, self._cancel))
        except ChaosError as error:
            self._infrastructure(occurrence, "effect", error)
            evidence = Evidence(False, {"error": error.message})
        state: FaultState = "effect_proven" if evidence.proven else "effect_unproven"
        self._record(occurrence, state, **evidence.measured)
        self._wait_until(end_s)

    def _heal(self, occurrence: Occurrence) -> None:
        """Recover, prove, close. Without proof the entry stays open for whoever cleans up."""
        self._record(occurrence, "recovering")
        cancelled = self._cancel.is_set()
        limit_s = CANCELLED_RECOVERY_LIMIT_S if cancelled else RECOVERY_LIMIT_S
        try:
            occurrence.fault.recover(self._stack)
            evidence = occurrence.fault.recovered(self._stack, Deadline(limit_s))
        except ChaosError as error:
            self._infrastructure(occurrence, "recover", error)
            evidence = Evidence(False, {"error": error.message})
        if not evidence.proven:
            self._record(occurrence, "recovery_unproven", **evidence.measured)
            return
        self._record(occurrence, "recovered", **evidence.measured)
        self._ledger.close(occurrence.fault_id, "recovery proven")
        self._record(occurrence, "closed", why="recovery proven")

    def _infrastructure(self, occurrence: Occurrence, step: str, error: ChaosError) -> None:
        self._history.event(
            "fault_step_failed",
            severity="error",
            owner="infrastructure",
            fault_id=occurrence.fault_id,
            step=step,
            message=error.message,
        )

    def _wait_until(self, moment_s: float) -> None:
        left_s = moment_s - self._history.now_s()
        if left_s > 0:
            self._cancel.wait(left_s)

    def _record(self, occurrence: Occurrence, state: FaultState, **evidence: Any) -> None:
        self._history.write(
            FaultRecord(
                t_s=self._history.now_s(),
                fault_id=occurrence.fault_id,
                name=occurrence.fault.name,
                state=state,
                scheduled_s=round(occurrence.start_s, 6),
                evidence=evidence,
            )
        )
        if self._on_state is not None:
            self._on_state(occurrence, state)
