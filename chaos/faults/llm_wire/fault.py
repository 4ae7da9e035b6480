"""What the wire faults share: a rule in the wire proxy, and how its effect is proven.

Proven is the effect when an answer through the Watcher's endpoint differs from a direct one in
exactly the way of the kind, when the server itself answered well before and after, and when the
wire proxy counted a strike meanwhile. All rules act on `/completion` only: the health question
goes on being answered, as it does when a real server misbehaves.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Fault, Group, Param, Value
from chaos.faults.llm_wire.answer import Answer, ask
from chaos.faults.wire_probe import http_get
from chaos.record.recovery_paths import LLM_CLIENT, LLM_DROP
from chaos.stack.base import RuleState, Stack, Wire
from chaos.stack.proxies import WireProblem

EVERY = Param(
    "every", "int", "strike every n-th completion (1: all of them)", default=1, min=1, max=1000
)
AT_BYTE = Param(
    "at_byte", "int", "so many bytes of the answer pass first", default=40, min=0, max=1000
)
AT_TOKEN = Param(
    "at_token",
    "int",
    "so many tokens of a streamed answer pass first (other answers are left alone)",
    min=0,
    max=200,
)
# An answer of llama.cpp's server repeats the settings of the request: none is as short as this.
SHORTEST_ANSWER_BYTES = 64

ANSWER_LIMIT_S = 5.0
SILENCE_S = 2.0  # without a byte, once the head of an answer is there
_HEALTH_LIMIT_S = 2.0
_TOKENS_MORE = 4  # asked for beyond the place in a stream, so that there is something to lose
_PAUSE_S = 0.1


class WireFault(Fault):
    """See the module. A kind says which rule it is, and what shows in the answer."""

    group: ClassVar[Group] = "llm_wire"
    needs: ClassVar[frozenset[str]] = frozenset({"wire"})
    affects_llm: ClassVar[bool] = True
    compatible_groups: ClassVar[frozenset[str]] = frozenset({"disk"})
    triage_path: ClassVar[str] = LLM_DROP
    reconnection_path: ClassVar[str] = LLM_CLIENT
    params: ClassVar[tuple[Param, ...]] = (HOLD, COUNT, PERIOD, EVERY)
    rule_kind: ClassVar[str]
    compares_content: ClassVar[bool] = False  # only then must a second direct answer be the same

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._every = int(values["every"])
        self._rule = f"chaos_{fault_id}"

    @abstractmethod
    def rule_params(self) -> dict[str, Any]:
        """The parameters of the rule (`chaos.stack.http_proxy.rules`)."""

    @abstractmethod
    def shows(self, through: Answer, direct: Answer) -> bool:
        """Whether `through` the proxy came exactly what this kind does to `direct`."""

    def cuts(self) -> bool:
        """Whether a struck answer is always useless."""
        return False

    def streamed(self) -> bool:
        """Whether only streamed answers are struck."""
        return "at_token" in self.values

    def available(self, stack: Stack) -> str | None:
        """Where a wire proxy answers."""
        if stack.wire is None:
            return "this stack has no wire proxy"
        stack.wire.rules()
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the rule; it lives in the run's own wire proxy and dies with it."""
        return {"rule": self._rule}

    def inject(self, stack: Stack) -> None:
        """Set the rule."""
        match = {"path": "/completion", "every": self._every}
        _wire(stack).put(self._rule, self.rule_kind, self.rule_params(), match)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """See the module. Tried again until the deadline: the Watcher stops the LLM server now
        and then by design, and while it is down nothing can be told.
        """
        measured: dict[str, Any] = {"attempts": 0}
        while deadline.left_s() > SILENCE_S:  # a look must end while the fault still holds
            measured["attempts"] += 1
            before = self._ask_directly(stack, deadline)
            measured["direct_before"] = before.measured()
            if (
                self._well(before)
                and self._struck(stack, deadline, before, measured)
                and self._still_well(stack, deadline, before, measured)
            ):
                cuts = self._every == 1 and self.cuts() and not self.streamed()
                return Evidence(True, {**measured, "cuts_llm": cuts})
            deadline.wait(_PAUSE_S)
        return Evidence(False, measured)

    def _struck(
        self, stack: Stack, deadline: Deadline, direct: Answer, measured: dict[str, Any]
    ) -> bool:
        """Ask through the proxy until a request's turn has come to be struck, and is."""
        before = self._state(stack)
        for _ in range(self._every):
            if deadline.left_s() <= SILENCE_S:
                return False
            through = self._ask(stack.proxied_llm, deadline)
            after = self._state(stack)
            measured |= {
                "through_proxy": through.measured(),
                "seen": after.seen,
                "struck": after.struck,
            }
            if after.struck > before.struck and self.shows(through, direct):
                return True
        return False

    def _still_well(
        self, stack: Stack, deadline: Deadline, before: Answer, measured: dict[str, Any]
    ) -> bool:
        """Whether the server itself is there as before; asked as cheaply as the kind allows."""
        if not self.compares_content:
            health = http_get(stack.direct_llm, "/health", _HEALTH_LIMIT_S)
            measured["direct_after"] = health.measured()
            return health.ok
        after = self._ask_directly(stack, deadline)
        measured["direct_after"] = after.measured()
        return after.usable and after.content == before.content

    def _state(self, stack: Stack) -> RuleState:
        return _wire(stack).rules().get(self._rule, RuleState(0, 0))

    def _ask(self, endpoint: Any, deadline: Deadline) -> Answer:
        limit_s = min(ANSWER_LIMIT_S, deadline.left_s())
        tokens = int(self.values["at_token"]) + _TOKENS_MORE if self.streamed() else None
        return ask(endpoint, limit_s=limit_s, silence_s=SILENCE_S, stream_tokens=tokens)

    def _ask_directly(self, stack: Stack, deadline: Deadline) -> Answer:
        return self._ask(stack.direct_llm, deadline)

    def _well(self, direct: Answer) -> bool:
        return direct.good if self.streamed() else direct.usable

    def recover(self, stack: Stack) -> None:
        """Remove the rule."""
        _wire(stack).remove(self._rule)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The rule is gone, and an answer comes through the proxy as the server gives it."""
        measured: dict[str, Any] = {"attempts": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            gone = self._rule not in _wire(stack).rules()
            direct = self._ask_directly(stack, deadline)
            through = self._ask(stack.proxied_llm, deadline)
            measured |= {
                "rule_gone": gone,
                "direct": direct.measured(),
                "through_proxy": through.measured(),
            }
            same = through.content == direct.content and through.gap_ms < SILENCE_S * 1000
            if gone and self._well(direct) and self._well(through) and same:
                return Evidence(True, measured)
            deadline.wait(_PAUSE_S)
        return Evidence(False, measured)


def _wire(stack: Stack) -> Wire:
    if stack.wire is None:
        raise WireProblem("this stack has no wire proxy")
    return stack.wire
