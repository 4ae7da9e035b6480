"""Answers that are late or incomplete: a slow first token, a stall, a cut."""

from typing import Annotated, Any, Literal

from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import SILENCE_S, PlacedFault, WireFault
from chaos.faults.llm_wire.params import PlaceParams, WireParams
from chaos.faults.params import duration, text
from chaos.stack.llm_api import Form


class LLMSlowFirstToken(WireFault):
    """The head of the answer comes at once, the first byte of its body after `delay`.

    A client that waits gets the whole answer. Only a client with a shorter timeout shows a
    connection drop: the default is longer than the timeout of the quick profiles, and the full
    profiles set a longer one.
    """

    name = "llm_slow_first_token"
    summary = "the first token of each answer comes late"
    rule_kind = "delay"

    class Params(WireParams):
        delay: Annotated[float, duration("before the first token", 0.1, 3600)] = 7.0

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"delay_s": self.params.delay}

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        """True if the body came so late, or not while it was waited for, and directly did not."""
        expected_ms = min(self.params.delay, SILENCE_S) * 900
        in_time = self.params.delay < SILENCE_S * 0.9
        usable = through.good and through.content == direct.content
        as_set = usable if in_time else through.ended in ("complete", "silent")
        late = through.status == 200 and through.gap_ms >= expected_ms
        return late and as_set and direct.gap_ms < expected_ms / 2


class LLMStall(PlacedFault):
    """The answer stops in its middle; the connection stays open until the fault is over."""

    name = "llm_stall"
    summary = "each answer stops in its middle, with the connection open"
    rule_kind = "stall"

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        return through.status == 200 and through.ended == "silent" and self.came_so_far(through)


class LLMTruncated(PlacedFault):
    """The answer is cut. Its announced length stays, or is rewritten to fit the rest.

    So it is an incomplete read, or a valid HTTP answer with broken JSON.
    """

    name = "llm_truncated"
    summary = "each answer is cut in its middle"
    rule_kind = "truncate"

    class Params(PlaceParams):
        length: Annotated[
            Literal["original", "rewritten"],
            text("announced length: original (incomplete read), rewritten (whole, broken JSON)"),
        ] = "original"

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {**super().rule_params(), "length": self.params.length}

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        ended = "closed" if self.params.length == "original" else "complete"
        shorter = len(through.body) < len(direct.body)
        cut = through.status == 200 and through.ended == ended and shorter
        return cut and self.came_so_far(through)
