"""What the wire faults share: a rule in the wire proxy, and how its effect is proven.

The effect is proven if an answer through the Watcher's endpoint differs from a direct one exactly
as the kind says, the server itself answered well before and after, and the wire proxy counted that
the rule struck. All rules act on `/completion` only: the server stays healthy, as a real server
that misbehaves does.
"""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.exchange import http_get
from chaos.faults.llm_wire.answer import Answer, ask
from chaos.faults.params import FaultParams, number
from chaos.record.recovery_paths import LLM_CLIENT, LLM_DROP
from chaos.stack.base import Endpoint, RuleState, Stack, Wire
from chaos.stack.proxies import WireProblem

# An answer of llama.cpp's server repeats the settings of the request: none is as short as this.
_SHORTEST_ANSWER_BYTES = 64
ANSWER_LIMIT_S = 5.0
SILENCE_S = 2.0  # without a byte, once the head of an answer is there
_HEALTH_LIMIT_S = 2.0
_TOKENS_MORE = 4  # asked for beyond the place in a stream, so that there is something to lose
_PAUSE_S = 0.1


class WireParams(FaultParams):
    every: Annotated[int, number("strike every n-th completion (1: all of them)", 1, 1000)] = 1


class PlaceParams(WireParams):
    at_byte: Annotated[int, number("bytes of the answer that pass first", 0, 1000)] = 40
    at_token: Annotated[
        int | None,
        number("tokens of a streamed answer that pass first (no other answer is struck)", 0, 200),
    ] = None


class WireFault(Fault):
    """A kind says which rule it is, and what an answer then shows."""

    group = "llm_wire"
    needs = frozenset({"wire"})
    affects_llm = True
    compatible_groups = frozenset({"disk"})
    triage_path = LLM_DROP
    reconnection_path = LLM_CLIENT
    Params: ClassVar[type[FaultParams]] = WireParams
    params: WireParams
    rule_kind: ClassVar[str]
    compares_content = False  # the second direct answer must equal the first
    always_useless = False  # no answer that is struck can be used

    @property
    def _rule(self) -> str:
        return f"chaos_{self.fault_id}"

    def rule_params(self) -> dict[str, Any]:
        """The parameters of the rule (`chaos.stack.http_proxy.rules`)."""
        return {}

    @abstractmethod
    def shows(self, through: Answer, direct: Answer) -> bool:
        """True if `through` is exactly what this kind makes of `direct`."""

    def cuts(self) -> bool:
        """True if a struck answer is always useless."""
        return self.always_useless

    def stream_tokens(self) -> int | None:
        """How many tokens to request; None unless only streamed answers are struck."""
        return None

    def available_in(self, planned: PlannedStack) -> str | None:
        if planned.target.llm.wire and planned.target.llm.wire_control:
            return super().available_in(planned)
        return "the target has no address for the wire proxy; add llm.wire and llm.wire_control"

    def available(self, stack: Stack) -> str | None:
        if stack.wire is None:
            return "this stack has no wire proxy"
        stack.wire.rules()
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The rule. The wire proxy belongs to the run and ends with it."""
        return {"rule": self._rule}

    def inject(self, stack: Stack) -> None:
        match = {"path": "/completion", "every": self.params.every}
        _wire(stack).put(self._rule, self.rule_kind, self.rule_params(), match)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Looks are repeated: while the Watcher has stopped the LLM server, they prove nothing."""

        def look(measured: dict[str, Any]) -> bool:
            before = self._ask(stack.direct_llm, deadline)
            measured["direct_before"] = before.measured()
            return (
                self._is_well(before)
                and self._struck(stack, deadline, before, measured)
                and self._is_still_well(stack, deadline, before, measured)
            )

        evidence = probe(look, deadline, _PAUSE_S, {"attempts": 0}, look_s=SILENCE_S)
        if evidence.proven:
            always = self.params.every == 1 and self.stream_tokens() is None
            evidence.measured["cuts_llm"] = always and self.cuts()
        return evidence

    def _struck(
        self, stack: Stack, deadline: Deadline, direct: Answer, measured: dict[str, Any]
    ) -> bool:
        """Ask through the proxy until an answer was struck: every n-th one is."""
        before = self._state(stack)
        for _ in range(self.params.every):
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

    def _is_still_well(
        self, stack: Stack, deadline: Deadline, before: Answer, measured: dict[str, Any]
    ) -> bool:
        """True if the server itself answers as before; its health is enough for most kinds."""
        if not self.compares_content:
            health = http_get(stack.direct_llm, "/health", _HEALTH_LIMIT_S)
            measured["direct_after"] = health.brief()
            return health.ok
        after = self._ask(stack.direct_llm, deadline)
        measured["direct_after"] = after.measured()
        return after.usable and after.content == before.content

    def _state(self, stack: Stack) -> RuleState:
        return _wire(stack).rules().get(self._rule, RuleState(0, 0))

    def _ask(self, endpoint: Endpoint, deadline: Deadline) -> Answer:
        limit_s = min(ANSWER_LIMIT_S, deadline.left_s())
        tokens = self.stream_tokens()
        return ask(endpoint, limit_s=limit_s, silence_s=SILENCE_S, stream_tokens=tokens)

    def _is_well(self, direct: Answer) -> bool:
        return direct.usable if self.stream_tokens() is None else direct.good

    def recover(self, stack: Stack) -> None:
        _wire(stack).remove(self._rule)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            gone = self._rule not in _wire(stack).rules()
            direct = self._ask(stack.direct_llm, deadline)
            through = self._ask(stack.proxied_llm, deadline)
            measured |= {
                "rule_gone": gone,
                "direct": direct.measured(),
                "through_proxy": through.measured(),
            }
            same = through.content == direct.content and through.gap_ms < SILENCE_S * 1000
            return gone and self._is_well(direct) and self._is_well(through) and same

        return probe(look, deadline, _PAUSE_S, {"attempts": 0})


class PlacedFault(WireFault):
    """A kind that acts after so many bytes of an answer, or tokens of a streamed one."""

    Params = PlaceParams
    params: PlaceParams

    def rule_params(self) -> dict[str, Any]:
        if self.params.at_token is not None:
            return {"at_token": self.params.at_token}
        return {"at_byte": self.params.at_byte}

    def stream_tokens(self) -> int | None:
        return None if self.params.at_token is None else self.params.at_token + _TOKENS_MORE

    def came_so_far(self, through: Answer) -> bool:
        """True if exactly that much of the answer came."""
        if self.params.at_token is not None:
            return through.events == self.params.at_token
        return len(through.body) == self.params.at_byte

    def cuts(self) -> bool:
        """True if every answer is longer."""
        return self.params.at_byte <= _SHORTEST_ANSWER_BYTES


def _wire(stack: Stack) -> Wire:
    if stack.wire is None:
        raise WireProblem("this stack has no wire proxy")
    return stack.wire
