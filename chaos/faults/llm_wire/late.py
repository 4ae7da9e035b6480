"""Answers that come late, or stop coming: a slow first token, and a stall in mid-answer."""

from typing import Annotated, Any

from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import SILENCE_S, PlacedFault, WireFault, WireParams
from chaos.faults.params import duration


class LLMSlowFirstToken(WireFault):
    """The head of the answer comes at once, the first byte of its body late.

    A client that waits gets the whole answer; one with a shorter timeout does not, and only then
    is there a connection drop to be triaged: the default is beyond the timeout of the quick
    profiles, the full ones have a longer delay of their own.
    """

    name = "llm_slow_first_token"
    summary = "the first token of each answer comes late"
    rule_kind = "delay"

    class Params(WireParams):
        delay: Annotated[float, duration("before the first token", 0.1, 3600)] = 7.0

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"delay_s": self.params.delay}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """Silence between head and body for as long as is set (or as is looked); then all is well.

        The direct answer shows that the server itself leaves no such gap.
        """
        expected_ms = min(self.params.delay, SILENCE_S) * 900
        in_time = self.params.delay < SILENCE_S * 0.9
        as_set = through.usable if in_time else through.ended in ("complete", "silent")
        late = through.status == 200 and through.gap_ms >= expected_ms
        return late and as_set and direct.gap_ms < expected_ms / 2


class LLMStall(PlacedFault):
    """The answer stops in its middle; the connection stays open until the fault is over."""

    name = "llm_stall"
    summary = "each answer stops in its middle, with the connection open"
    rule_kind = "stall"

    def shows(self, through: Answer, direct: Answer) -> bool:
        return through.status == 200 and through.ended == "silent" and self.came_so_far(through)
