"""What the kinds of this package share: a rule of the system-call witness, and its counters.

The witness sees each watched call before it happens (images/witness). A rule tells it to change
those that match. The rule goes with the connection that set it, so it never outlives the harness.
The effect is proven by the witness, which counts and records each call that it changed; a fault
without such a call is unproven. Recovered: the witness holds the rule no more, and the same process
works.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, PlannedStack, probe
from chaos.faults.params import FaultParams, Value, number, text
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import NO_PATH, WORK_RESUMES
from chaos.stack.base import CallRules, RuleState, Stack
from chaos.stack.call_rules import WitnessProblem

_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
_NOT_WITNESSED = "system calls are not witnessed: "
_NO_WITNESS = "this run has no witness (--witness all)"
_PAUSE_S = 0.05

Call = Literal["open", "rename", "link", "unlink", "truncate", "fsync", "exec", "kill", "connect"]


class CallParams(FaultParams):
    call: Annotated[Call, text("the call (open: to write)")] = "fsync"
    path: Annotated[
        str, text("glob on its path in the workspace, its new path, or its address (HOST:PORT)")
    ] = "*"
    until: Annotated[
        Literal["hold", "proof"], text("when it is over: with its hold, or once it is proven")
    ] = "hold"


class ChosenParams(CallParams):
    nth: Annotated[int, number("change each n-th matching call; 0: by rate", 0, 10000)] = 0
    times: Annotated[int, number("change so many calls; 0: no limit", 0, 10000)] = 0
    rate: Annotated[float, number("share of the matching calls that is changed", 0.001, 1)] = 0.3
    seed: Annotated[int, number("of the choice by rate", 0, 2**31)] = 1


class CallFault(ServiceFault):
    """A kind says what the witness does to a matching call."""

    service = "watcher"
    group = "syscall"
    triage_path = NO_PATH
    reconnection_path = WORK_RESUMES
    action: ClassVar[Literal["fail", "delay", "kill"]]
    Params: ClassVar[type[FaultParams]] = CallParams
    params: CallParams

    final = RuleState(0, 0)  # the counters when the rule was removed

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self.ends_at_proof = self.params.until == "proof"

    def rule(self) -> dict[str, Any]:
        """The rule, as `Rule` of images/witness/rules.py has it."""
        params = self.params
        rule: dict[str, Any] = {
            "service": self.service,
            "action": self.action,
            "call": params.call,
            "path": params.path,
        }
        if isinstance(params, ChosenParams):
            # Another occurrence chooses others.
            seed = f"{params.seed} {self.fault_id}"
            rule |= {"nth": params.nth, "rate": params.rate, "seed": seed, "times": params.times}
        return rule

    def traits(self) -> dict[str, Any]:
        """Without connections the Watcher has no LLM."""
        return {**super().traits(), "affects_llm": self.params.call == "connect"}

    @classmethod
    def available_here(cls) -> str | None:
        try:
            known = _ACTIONS.read_text(encoding="ascii").split()
        except OSError as error:
            return f"the kernel has no seccomp filters: {error}"
        if "user_notif" in known:
            return None
        return "the kernel has no seccomp user notification (Linux 5.0)"

    def available_in(self, planned: PlannedStack) -> str | None:
        if not planned.witnessed:
            return _NOT_WITNESSED + _NO_WITNESS
        return super().available_in(planned)

    def settled(self, stack: Stack) -> str | None:
        if stack.calls is None:
            return _NOT_WITNESSED + stack.not_witnessed.get("syscalls", _NO_WITNESS)
        return None

    def available(self, stack: Stack) -> str | None:
        if stack.calls is None:
            return self.settled(stack)
        stack.calls.rules()
        return super().available(stack)

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The id of the rule: the witness drops the rule itself when the harness is gone."""
        return {**super().undo_record(stack), "rule": self.fault_id}

    def inject(self, stack: Stack) -> None:
        rules(stack).put(self.fault_id, self.rule())

    def struck(self, stack: Stack, measured: dict[str, Any]) -> bool:
        """True if a call was changed. Adds the counters, at last the final ones, to `measured`."""
        state = rules(stack).rules().get(self.fault_id, self.final)
        measured |= {"calls_seen": state.seen, "calls_changed": state.struck}
        return state.struck > 0

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        evidence = probe(lambda measured: self.struck(stack, measured), deadline, _PAUSE_S)
        return evidence if evidence.proven else evidence.plus(reason=self.missed(evidence))

    def missed(self, evidence: Evidence) -> str:
        """Why no call was changed."""
        seen = evidence.measured["calls_seen"]
        if seen:
            return f"{seen} calls matched, and none was the one to be changed"
        return f"the Watcher made no {self.params.call} call that matches {self.params.path!r}"

    def recover(self, stack: Stack) -> None:
        self.final = rules(stack).remove(self.fault_id) or self.final

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        measured: dict[str, Any] = {"process": self.first.pid, "same": self.first.lives()}
        if not self.rule_gone(stack, measured):
            return Evidence(False, measured)
        if not measured["same"]:
            code = stack.service(self.service).exit_code()
            return Evidence(False, {**measured, "did_not_return": f"exit code {code}"})
        return self.progress(stack, deadline).plus(**measured)

    def rule_gone(self, stack: Stack, measured: dict[str, Any]) -> bool:
        """True if the witness has dropped the rule. Adds the final counters to `measured`."""
        held = rules(stack).rules()
        self.struck(stack, measured)
        measured["rules_left"] = len(held)
        return self.fault_id not in held


def rules(stack: Stack) -> CallRules:
    """Those of the witness. Raises `WitnessProblem` without one."""
    if stack.calls is None:
        raise WitnessProblem("system calls are not witnessed")
    return stack.calls
