"""The steps of a fault and of a storm. The faults here are scripted, and the stack is None."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import Evidence, Fault, noop_twin
from chaos.faults.ledger import Ledger
from chaos.faults.lifecycle import Occurrence, Storm
from chaos.faults.params import Value
from chaos.record.history import Event, FaultRecord, HistoryWriter, read_history
from chaos.record.names import UndeclaredName
from chaos.stack.base import Stack
from chaos.stack.outages import Outages


class Scripted(Fault):
    """A fault with scripted results, which records the calls."""

    name: ClassVar[str] = "scripted"
    summary: ClassVar[str] = "for tests"
    evidence: ClassVar[dict[str, str]] = {"state": "", "occurrence": "", "self": "", "left_s": ""}

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self.calls: list[str] = []
        self.reason: str | None = None
        self.proven = self.heals = True
        self.fails_at = ""
        self.ledger: Ledger | None = None
        self.open_at_inject: list[str] = []

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.fails_at == call:
            raise EnvironmentProblem(f"{call} failed")

    def available(self, stack: Stack) -> str | None:
        self._note("available")
        return self.reason

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        return {"what": "it"}

    def inject(self, stack: Stack) -> None:
        if self.ledger is not None:
            self.open_at_inject = [entry.fault_id for entry in self.ledger.open_entries()]
        self._note("inject")

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        self._note("effect")
        return Evidence(self.proven, {"seen": self.proven})

    def recover(self, stack: Stack) -> None:
        self._note("recover")

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        self._note("recovered")
        return Evidence(self.heals, {})

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        raise AssertionError("the storm never undoes by record")


class Lab:
    """A storm over scripted faults, and what it left on disk."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.jsonl"
        self.history = HistoryWriter(self.path, "test")
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.cancel = threading.Event()
        self.storm = Storm(cast(Stack, None), self.history, self.ledger, self.cancel)

    def live(self, *faults: Scripted, hold_s: float = 0.01) -> None:
        now_s = self.history.now_s()
        self.storm.run(
            [
                Occurrence(f"f{n:03d}", fault, now_s + 0.02 * n, hold_s)
                for n, fault in enumerate(faults, start=1)
            ]
        )
        self.history.close()

    def states(self, fault_id: str = "f001") -> list[str]:
        records = [record for _, record in read_history(self.path)]
        faults = [r for r in records if isinstance(r, FaultRecord)]
        return [r.state for r in faults if r.fault_id == fault_id]

    def events(self) -> list[Event]:
        return [record for _, record in read_history(self.path) if isinstance(record, Event)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_states_are_recorded_in_order_and_the_ledger_is_open_before_inject(lab: Lab) -> None:
    fault = Scripted("f001", {})
    fault.ledger = lab.ledger
    lab.live(fault)
    assert lab.states() == [
        "armed", "injected", "effect_proven", "recovering", "recovered", "closed"
    ]  # fmt: skip
    assert fault.open_at_inject == ["f001"]
    assert lab.ledger.open_entries() == []


def test_an_unavailable_fault_is_recorded_and_not_injected(lab: Lab) -> None:
    fault = Scripted("f001", {})
    fault.reason = "no such device"
    lab.live(fault)
    assert fault.calls == ["available"]
    assert lab.states() == ["unavailable"]
    assert not lab.ledger.path.exists()


def test_a_fault_that_is_left_out_is_recorded_with_its_reason_and_not_injected(lab: Lab) -> None:
    fault = Scripted("f001", {})
    lab.storm.run([Occurrence("f001", fault, lab.history.now_s(), 0.01, left_out="no GPU")])
    lab.history.close()
    assert lab.states() == ["unavailable"] and fault.calls == []
    records = [record for _, record in read_history(lab.path) if isinstance(record, FaultRecord)]
    assert records[0].evidence == {"reason": "no GPU"}


def test_a_fault_with_an_unproven_effect_is_healed(lab: Lab) -> None:
    fault = Scripted("f001", {})
    fault.proven = False
    lab.live(fault)
    assert lab.states() == [
        "armed", "injected", "effect_unproven", "recovering", "recovered", "closed"
    ]  # fmt: skip


def test_without_proof_of_recovery_the_ledger_entry_stays_open(lab: Lab) -> None:
    fault = Scripted("f001", {})
    fault.heals = False
    lab.live(fault)
    assert lab.states()[-1] == "recovery_unproven"
    assert [entry.fault_id for entry in lab.ledger.open_entries()] == ["f001"]


@pytest.mark.parametrize("step", ["inject", "effect", "recover", "recovered"])
def test_a_failed_step_is_owned_by_infrastructure_and_the_next_fault_runs(
    lab: Lab, step: str
) -> None:
    bad, good = Scripted("f001", {}), Scripted("f002", {})
    bad.fails_at = step
    lab.live(bad, good)
    assert "recover" in bad.calls, "whatever failed, healing was tried"
    assert [e.owner for e in lab.events()] == ["infrastructure"]
    assert lab.states("f002")[-1] == "closed"
    assert ("effect_proven" in lab.states()) == (step in ("recover", "recovered"))


def test_a_cancelled_storm_heals_and_injects_nothing_more(lab: Lab) -> None:
    first, second = Scripted("f001", {}), Scripted("f002", {})
    timer = threading.Timer(0.2, lab.cancel.set)
    timer.start()
    lab.live(first, second, hold_s=60)
    timer.join()
    assert lab.states()[-1] == "closed"
    assert second.calls == []
    assert lab.ledger.open_entries() == []


def test_a_storm_cancelled_after_arming_closes_the_ledger_entry(lab: Lab) -> None:
    fault = Scripted("f001", {})
    now_s = lab.history.now_s()
    timer = threading.Timer(0.1, lab.cancel.set)
    timer.start()
    lab.storm.run([Occurrence("f001", fault, now_s + 0.9, 1.0)])
    lab.history.close()
    timer.join()
    assert fault.calls == ["available"]
    assert lab.states() == ["armed", "closed"]
    assert lab.ledger.open_entries() == []


class Apart(Scripted):
    group = "disk"
    compatible_groups = frozenset({"queue"})


class Beside(Scripted):
    group = "queue"
    compatible_groups = frozenset({"disk"})
    ends = frozenset({"watcher"})


def _order(lab: Lab) -> list[tuple[str, str]]:
    records = [record for _, record in read_history(lab.path)]
    return [(r.fault_id, r.state) for r in records if isinstance(r, FaultRecord)]


def test_compatible_kinds_overlap(lab: Lab) -> None:
    lab.live(Apart("f001", {}), Beside("f002", {}), hold_s=0.4)
    order = _order(lab)
    assert order.index(("f002", "injected")) < order.index(("f001", "recovering"))
    assert lab.ledger.open_entries() == []


def test_incompatible_kinds_do_not_overlap(lab: Lab) -> None:
    """Also if only one of the two allows it."""
    lab.live(Apart("f001", {}), Scripted("f002", {}), hold_s=0.4)
    order = _order(lab)
    assert order.index(("f001", "closed")) < order.index(("f002", "armed"))


def test_an_outage_lasts_from_the_injection_to_the_proof_of_recovery(lab: Lab) -> None:
    outages = Outages()
    seen: list[tuple[str, bool]] = []
    storm = Storm(
        cast(Stack, None),
        lab.history,
        lab.ledger,
        lab.cancel,
        outages=outages,
        on_state=lambda _, state: seen.append((state, outages.expects("watcher"))),
    )
    unhealed = Beside("f002", {})
    unhealed.heals = False
    now_s = lab.history.now_s()
    storm.run([Occurrence("f001", Beside("f001", {}), now_s, 0.01)])
    assert dict(seen) == {
        "armed": False, "injected": True, "effect_proven": True,
        "recovering": True, "recovered": True, "closed": True,
    }  # fmt: skip
    assert not outages.expects("watcher")
    storm.run([Occurrence("f002", unhealed, now_s, 0.01)])
    assert outages.expects("watcher"), "what is not proven to be back may still be down"


def test_a_noop_twin_skips_only_inject_and_recover(lab: Lab) -> None:
    twin = noop_twin(Beside)("f001", {})
    assert isinstance(twin, Beside)
    lab.live(twin)
    assert "inject" not in twin.calls and "recover" not in twin.calls
    assert ("effect" in twin.calls) and ("recovered" in twin.calls)
    assert twin.traits() == Beside("f001", {}).traits()


def test_a_defect_is_raised_after_all_faults_are_healed(lab: Lab) -> None:
    bad, good = Apart("f001", {}), Beside("f002", {})

    def defect(stack: Stack, deadline: Deadline) -> Evidence:
        raise ZeroDivisionError("a defect")

    bad.recovered = defect  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        lab.live(bad, good)
    assert lab.states("f002")[-1] == "closed"


def test_evidence_keys_may_equal_fields_of_the_record(lab: Lab) -> None:
    fault = Scripted("f001", {})
    named = {"state": "T", "occurrence": 3, "self": "x"}
    fault.effect = lambda stack, deadline: Evidence(True, named)  # type: ignore[method-assign]
    lab.live(fault)
    assert lab.states()[-1] == "closed"
    records = [record for _, record in read_history(lab.path)]
    proven = [r for r in records if isinstance(r, FaultRecord) and r.state == "effect_proven"]
    assert proven[0].evidence == named


def test_undeclared_evidence_is_a_defect_and_the_fault_is_healed(lab: Lab) -> None:
    fault = Scripted("f001", {})
    fault.effect = lambda stack, deadline: Evidence(True, {"tok_ms": 1})  # type: ignore[method-assign]
    with pytest.raises(UndeclaredName, match="fault 'scripted': undeclared evidence tok_ms"):
        lab.live(fault)
    assert lab.states()[-1] == "closed"


def test_effect_can_be_proven_if_inject_took_longer_than_the_hold(lab: Lab) -> None:
    """A Watcher may take 7 s to stop under a hold of 5 s."""

    class SlowToBreak(Scripted):
        def inject(self, stack: Stack) -> None:
            super().inject(stack)
            threading.Event().wait(0.4)

        def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
            left_s = deadline.left_s()
            super().effect(stack, deadline)
            return Evidence(left_s > 0, {"left_s": left_s})

    lab.live(SlowToBreak("f001", {}), hold_s=0.2)
    assert "effect_proven" in lab.states()
