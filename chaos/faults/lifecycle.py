"""The life of every fault, whatever its kind, and the storm: a schedule of faults.

*available? -> ledger -> inject -> effect proven -> hold -> recover -> recovery proven -> ledger
closed.* Each step is a record in the history. Slow steps (availability, the ledger's fsync) come
before the scheduled moment, so that the injection is punctual. Every moment is absolute, so that
delays do not add up. A fault waits for earlier ones that may not overlap with it; its delay is
recorded.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import ChaosError
from chaos.faults.base import Evidence, Fault, may_overlap
from chaos.faults.ledger import Ledger, Open
from chaos.record.evidence_keys import check_evidence
from chaos.record.history import FaultRecord, FaultState, HistoryWriter
from chaos.stack.base import Stack
from chaos.stack.outages import Outages

ARM_LEAD_S = 1.0
FAULT_END_LIMIT_S = 90.0  # how long a fault waits for one that may not overlap with it
PROOF_S = 3.0
CANCELLED_RECOVERY_LIMIT_S = 2.0


@dataclass(frozen=True)
class Occurrence:
    """One scheduled fault: its injection (run seconds) and its hold.

    `left_out`: why it is not injected although it is scheduled; "" if it is.
    """

    fault_id: str
    fault: Fault
    start_s: float
    hold_s: float
    left_out: str = ""


class _Thread(threading.Thread):
    """The thread of one occurrence. `failure`: what a defect raised."""

    def __init__(self, occurrence: Occurrence, work: Callable[[Occurrence], None]) -> None:
        super().__init__(name=f"fault {occurrence.fault_id}", daemon=True)
        self.occurrence = occurrence
        self.failure: Exception | None = None
        self._work = work

    def run(self) -> None:
        try:
            self._work(self.occurrence)
        except Exception as error:
            self.failure = error


@dataclass
class Storm:
    """Runs occurrences in the order of their start. A cancelled storm heals at once and ends.

    `outages` gets the services that a fault may end. `on_state` is called after each recorded state
    (the workload reacts to some); it must be quick and must not raise. `proof_s` is the least time
    for the proof of an effect, even after the hold: while the Watcher has stopped the LLM server,
    or a service stops slowly, nothing can be proven.
    """

    stack: Stack
    history: HistoryWriter
    ledger: Ledger
    cancel: threading.Event
    outages: Outages = field(default_factory=Outages)
    on_state: Callable[[Occurrence, FaultState], None] = lambda occurrence, state: None
    proof_s: float | None = None

    def run(self, occurrences: Sequence[Occurrence]) -> None:
        """Run all occurrences, each in a thread of its own, as they may overlap.

        Raises what a defect in a fault raised, after all others have been healed.
        """
        threads: list[_Thread] = []
        for occurrence in sorted(occurrences, key=lambda item: item.start_s):
            self._wait_until(occurrence.start_s - ARM_LEAD_S)
            self._await_incompatible(occurrence, threads)
            if self.cancel.is_set():
                break
            threads.append(_Thread(occurrence, self._run_one))
            threads[-1].start()
        for thread in threads:
            thread.join()
        for thread in threads:
            if thread.failure is not None:
                raise thread.failure

    def _await_incompatible(self, occurrence: Occurrence, threads: list[_Thread]) -> None:
        kind = type(occurrence.fault)
        for thread in threads:
            if thread.is_alive() and not may_overlap(type(thread.occurrence.fault), kind):
                thread.join(FAULT_END_LIMIT_S)

    def _run_one(self, occurrence: Occurrence) -> None:
        if not self._arm(occurrence):
            return
        self._wait_until(occurrence.start_s)
        if self.cancel.is_set():
            self.ledger.close(occurrence.fault_id, "cancelled before it acted")
            self._record(occurrence, "closed", why="cancelled before it acted")
            return
        ends = occurrence.fault.ends
        self.outages.begin(ends)
        try:
            self._break(occurrence)
        finally:
            healed = self._heal(occurrence)
        if healed:  # without proof its services may still be down because of it
            self.outages.end(ends)

    def _arm(self, occurrence: Occurrence) -> bool:
        fault = occurrence.fault
        try:
            reason = occurrence.left_out or fault.available(self.stack)
        except ChaosError as error:
            reason = error.message
        if reason is not None:
            self._record(occurrence, "unavailable", reason=reason)
            return False
        undo = fault.undo_record(self.stack)
        self.ledger.open(Open(occurrence.fault_id, fault.name, fault.scope, undo))
        self._record(occurrence, "armed", undo=undo, traits=fault.traits())
        return True

    def _break(self, occurrence: Occurrence) -> None:
        """Inject, prove, hold. An error of the harness is recorded as an unproven effect."""
        start_s = self.history.now_s()
        try:
            occurrence.fault.inject(self.stack)
        except ChaosError as error:
            self._infrastructure(occurrence, "inject", error)
            self._record(occurrence, "effect_unproven", error=error.message)
            return
        self._record(
            occurrence,
            "injected",
            late_ms=round((start_s - occurrence.start_s) * 1000, 3),
            took_ms=round((self.history.now_s() - start_s) * 1000, 3),
        )
        end_s = max(occurrence.start_s, start_s) + occurrence.hold_s
        try:
            proof_s = min(occurrence.hold_s, PROOF_S) if self.proof_s is None else self.proof_s
            left_s = max(end_s - self.history.now_s(), proof_s)
            evidence = occurrence.fault.effect(self.stack, Deadline(left_s, self.cancel))
        except ChaosError as error:
            self._infrastructure(occurrence, "effect", error)
            evidence = Evidence(False, {"error": error.message})
        state: FaultState = "effect_proven" if evidence.proven else "effect_unproven"
        self._record(occurrence, state, **evidence.measured)
        if not (occurrence.fault.ends_at_proof and evidence.proven):
            self._wait_until(end_s)

    def _heal(self, occurrence: Occurrence) -> bool:
        """Recover, prove, close; True if proven. Else the ledger entry stays open for clean-up."""
        self._record(occurrence, "recovering")
        cancelled = self.cancel.is_set()
        whole_s = type(occurrence.fault).recovery_limit_s
        limit_s = CANCELLED_RECOVERY_LIMIT_S if cancelled else whole_s
        try:
            occurrence.fault.recover(self.stack)
            evidence = occurrence.fault.recovered(self.stack, Deadline(limit_s))
        except ChaosError as error:
            self._infrastructure(occurrence, "recover", error)
            evidence = Evidence(False, {"error": error.message})
        if not evidence.proven:
            self._record(occurrence, "recovery_unproven", **evidence.measured)
            return False
        self._record(occurrence, "recovered", **evidence.measured)
        self.ledger.close(occurrence.fault_id, "recovery proven")
        self._record(occurrence, "closed", why="recovery proven")
        return True

    def _infrastructure(self, occurrence: Occurrence, step: str, error: ChaosError) -> None:
        self.history.event(
            "fault_step_failed",
            severity="error",
            owner="infrastructure",
            fault_id=occurrence.fault_id,
            step=step,
            message=error.message,
        )

    def _wait_until(self, moment_s: float) -> None:
        left_s = moment_s - self.history.now_s()
        if left_s > 0:
            self.cancel.wait(left_s)

    def _record(self, occurrence: Occurrence, state: FaultState, /, **evidence: Any) -> None:
        kind = type(occurrence.fault)
        check_evidence(kind.name, evidence, kind.evidence)
        self.history.write(
            FaultRecord(
                t_s=self.history.now_s(),
                fault_id=occurrence.fault_id,
                name=occurrence.fault.name,
                state=state,
                scheduled_s=round(occurrence.start_s, 6),
                evidence=evidence,
            )
        )
        self.on_state(occurrence, state)
