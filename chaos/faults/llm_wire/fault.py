"""What the wire faults share: a rule in the wire proxy, and how its effect is proven.

The rules act on requests for completions only (llama.cpp's API and OpenAI's): the server stays
healthy, as a real server that misbehaves does. The probe asks in the forms in which the Watcher has
asked. The effect is proven if an answer through the Watcher's endpoint differs from a direct one
exactly as the kind says, the server itself answered well before and after, and the wire proxy
counted that the rule struck. A probe brings its own number, so it takes no turn of the Watcher's.
A fault that can strike none of the Watcher's requests says so, and is no pass.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.exchange import http_get
from chaos.faults.llm_wire.answer import Answer, ask
from chaos.faults.llm_wire.params import PlaceParams, WireParams
from chaos.faults.params import FaultParams
from chaos.record.recovery_paths import LLM_CLIENT, LLM_DROP
from chaos.stack.base import Endpoint, RuleState, Stack, Wire
from chaos.stack.llm_api import LLAMA, Form
from chaos.stack.proxies import WireProblem

# An answer of llama.cpp's server repeats the settings of the request: none is as short as this, and
# no answer by OpenAI's API.
_SHORTEST_ANSWER_BYTES = 64
ANSWER_LIMIT_S = 5.0
SILENCE_S = 2.0  # without a byte, once the head of an answer is there
_HEALTH_LIMIT_S = 2.0
_TOKENS_MORE = 4  # asked for beyond the place in a stream, so that there is something to lose
_FORMS_MAX = 3  # that are probed
_PAUSE_S = 0.1
_NOTHING = RuleState(0, 0)


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
    only_streamed = False  # no other answer is struck
    needs_tools = False  # only requests that offer tools are struck
    final = _NOTHING  # the counters when the rule was removed

    @property
    def _rule(self) -> str:
        return f"chaos_{self.fault_id}"

    def rule_params(self) -> dict[str, Any]:
        """The parameters of the rule (`chaos.stack.http_proxy.rules`)."""
        return {}

    @abstractmethod
    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        """True if `through` is exactly what this kind makes of `direct`."""

    def cuts(self) -> bool:
        """True if a struck answer is always useless."""
        return self.always_useless

    def tokens(self) -> int | None:
        """How many tokens the probe requests; None: few, under a grammar."""
        return None

    def strikes(self, form: Form) -> bool:
        """True if answers to requests of this form can be struck."""
        if self.only_streamed and not form.stream:
            return False
        return form.path in self.params.paths() and (form.tools or not self.needs_tools)

    def available_in(self, planned: PlannedStack) -> str | None:
        if planned.target.llm.wire and planned.target.llm.wire_control:
            return super().available_in(planned)
        return "the target has no address for the wire proxy; add llm.wire and llm.wire_control"

    def available(self, stack: Stack) -> str | None:
        if stack.wire is None:
            return "this stack has no wire proxy"
        asked = stack.wire.asked()
        if not asked or any(map(self.strikes, asked)):
            return None
        what = "streamed answers" if self.only_streamed else "answers"
        what += " to requests with tools" if self.needs_tools else ""
        forms = ", ".join(f"{form} ({count} times)" for form, count in asked.items())
        return f"it strikes only {what} on {', '.join(self.params.paths())}; asked was {forms}"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The rule. The wire proxy belongs to the run and ends with it."""
        return {"rule": self._rule}

    def inject(self, stack: Stack) -> None:
        _wire(stack).put(self._rule, self.rule_kind, self.rule_params(), self.params.match())

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Looks are repeated: while the Watcher has stopped the LLM server, they prove nothing."""
        left = self._forms(stack)

        def look(measured: dict[str, Any]) -> bool:
            while left:
                before = self._ask(stack.direct_llm, deadline, left[0])
                measured["direct_before"] = before.measured()
                if not (
                    self._is_well(stack, before, left[0])
                    and self._struck(stack, deadline, before, left[0], measured)
                    and self._is_still_well(stack, deadline, before, left[0], measured)
                ):
                    return False
                measured["forms"] = [*measured.get("forms", []), str(left.pop(0))]
            return True

        evidence = probe(look, deadline, _PAUSE_S, {"attempts": 0}, look_s=SILENCE_S)
        if evidence.proven:
            everywhere = self.params.path == "any" and not self.only_streamed
            always = everywhere and self.params.strikes_all()
            evidence.measured["cuts_llm"] = always and self.cuts()
        return evidence

    def _forms(self, stack: Stack) -> list[Form]:
        """The forms to probe: those in which the Watcher asks, else the kind's own."""
        asked = [form for form in _wire(stack).asked() if self.strikes(form)]
        if not asked:
            path = LLAMA if LLAMA in self.params.paths() else self.params.paths()[-1]
            asked = [Form(path, self.only_streamed, self.needs_tools)]
        forms = [replace(form, tools=self.needs_tools) for form in asked]
        return list(dict.fromkeys(forms))[:_FORMS_MAX]

    def _struck(
        self,
        stack: Stack,
        deadline: Deadline,
        direct: Answer,
        form: Form,
        measured: dict[str, Any],
    ) -> bool:
        """Ask through the proxy until an answer was struck, and one was spared if some are."""
        struck = spared = False
        for number in self.params.probe_numbers():
            if deadline.left_s() <= SILENCE_S:
                return False
            before = self._state(stack)
            through = self._ask(stack.proxied_llm, deadline, form, number)
            after = self._state(stack)
            measured |= {
                "through_proxy": through.measured(),
                "seen": after.seen,
                "struck": after.struck,
                "probes_struck": after.probes_struck,
            }
            if after.probes_struck == before.probes_struck:
                if not self._is_well(stack, through, form):
                    return False
                spared = True
            elif self.shows(through, direct, form):
                struck = True
            else:
                return False
            if struck and (spared or self.params.strikes_all()):
                return True
            if self.params.by_time:
                deadline.wait(_PAUSE_S)
        return False

    def _is_still_well(
        self,
        stack: Stack,
        deadline: Deadline,
        before: Answer,
        form: Form,
        measured: dict[str, Any],
    ) -> bool:
        """True if the server itself answers as before; its health is enough for most kinds."""
        if not self.compares_content:
            health = http_get(stack.direct_llm, stack.target.llm.ready_path, _HEALTH_LIMIT_S)
            measured["direct_after"] = health.brief()
            return health.ok
        after = self._ask(stack.direct_llm, deadline, form)
        measured["direct_after"] = after.measured()
        return after.usable and after.content == before.content

    def _state(self, stack: Stack) -> RuleState:
        return _wire(stack).rules().get(self._rule, _NOTHING)

    def _ask(self, endpoint: Endpoint, deadline: Deadline, form: Form, number: int = 1) -> Answer:
        limits = {"limit_s": min(ANSWER_LIMIT_S, deadline.left_s()), "silence_s": SILENCE_S}
        return ask(endpoint, **limits, form=form, tokens=self.tokens(), number=number)

    def _is_well(self, stack: Stack, answer: Answer, form: Form) -> bool:
        """True if it is what the server answers without a fault.

        A server of the daemon's own may know no grammar.
        """
        free = form.tools or self.tokens() is not None or stack.target.llm.server is not None
        return answer.good and answer.completion is not None if free else answer.usable

    def recover(self, stack: Stack) -> None:
        self.final = _wire(stack).rules().get(self._rule, self.final)
        _wire(stack).remove(self._rule)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        form = self._forms(stack)[0]

        def look(measured: dict[str, Any]) -> bool:
            gone = self._rule not in _wire(stack).rules()
            direct = self._ask(stack.direct_llm, deadline, form)
            through = self._ask(stack.proxied_llm, deadline, form)
            measured |= {
                "rule_gone": gone,
                "direct": direct.measured(),
                "through_proxy": through.measured(),
            }
            same = through.content == direct.content and through.gap_ms < SILENCE_S * 1000
            return (
                gone and same and all(self._is_well(stack, one, form) for one in (direct, through))
            )

        return probe(look, deadline, _PAUSE_S, {"attempts": 0, **self._counted()})

    def _counted(self) -> dict[str, Any]:
        """What became of the Watcher's own requests."""
        counted: dict[str, Any] = {"seen": self.final.seen, "struck": self.final.struck}
        if self.final.missed and not self.final.struck:
            counted["not_struck"] = (
                f"{self.final.missed} answers to the Watcher were due, and none could be struck: "
                "it asked in a form that the fault does not act on"
            )
        return counted


class PlacedFault(WireFault):
    """A kind that acts after so many bytes of an answer, or tokens of a streamed one."""

    Params = PlaceParams
    params: PlaceParams

    @property
    def only_streamed(self) -> bool:  # type: ignore[override]
        """True for a place by tokens."""
        return self.params.after_tokens is not None

    def rule_params(self) -> dict[str, Any]:
        if self.params.after_tokens is not None:
            inside = self.params.mid_event == "yes"
            return {"after_tokens": self.params.after_tokens, "mid_event": inside}
        return {"after_bytes": self.params.place_bytes()}

    def tokens(self) -> int | None:
        after = self.params.after_tokens
        return None if after is None else after + _TOKENS_MORE

    def came_so_far(self, through: Answer) -> bool:
        """True if exactly that much of the answer came."""
        if self.params.after_tokens is not None:
            inside = self.params.mid_event == "yes"
            return (through.events, through.cut_in_event) == (self.params.after_tokens, inside)
        return len(through.body) == self.params.place_bytes()

    def cuts(self) -> bool:
        """True if every answer is longer."""
        return self.params.place_bytes() <= _SHORTEST_ANSWER_BYTES


def _wire(stack: Stack) -> Wire:
    if stack.wire is None:
        raise WireProblem("this stack has no wire proxy")
    return stack.wire
