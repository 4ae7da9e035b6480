"""Answers that come late, or stop coming: a slow first token, and a stall in mid-answer."""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param
from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import (
    AT_BYTE,
    AT_TOKEN,
    EVERY,
    SHORTEST_ANSWER_BYTES,
    SILENCE_S,
    WireFault,
)


class LLMSlowFirstToken(WireFault):
    """The head of the answer comes at once, the first byte of its body late.

    A client that waits gets the whole answer; one whose time limit is shorter does not, and only
    then is there a connection drop to be triaged: the default is beyond the limit of the quick
    profiles, the full ones have a longer delay of their own.
    """

    name: ClassVar[str] = "llm_slow_first_token"
    summary: ClassVar[str] = "the first token of each answer comes late"
    rule_kind: ClassVar[str] = "delay"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        EVERY,
        Param("delay", "duration", "before the first token", default=7.0, min=0.1, max=3600.0),
    )

    def rule_params(self) -> dict[str, Any]:
        """The delay."""
        return {"delay_s": float(self.values["delay"])}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """Silence between head and body for as long as is set (or as is looked); then all is well.

        The direct answer shows that the server itself leaves no such gap.
        """
        expected_ms = min(float(self.values["delay"]), SILENCE_S) * 900
        in_time = float(self.values["delay"]) < SILENCE_S * 0.9
        as_set = through.usable if in_time else through.ended in ("complete", "silent")
        late = through.status == 200 and through.gap_ms >= expected_ms
        return late and as_set and direct.gap_ms < expected_ms / 2


class LLMStall(WireFault):
    """The answer stops in its middle; the connection stays open until the fault is over."""

    name: ClassVar[str] = "llm_stall"
    summary: ClassVar[str] = "each answer stops in its middle, with the connection open"
    rule_kind: ClassVar[str] = "stall"
    params: ClassVar[tuple[Param, ...]] = (HOLD, COUNT, PERIOD, EVERY, AT_BYTE, AT_TOKEN)

    def rule_params(self) -> dict[str, Any]:
        """Where it stops."""
        return place(self)

    def shows(self, through: Answer, direct: Answer) -> bool:
        """Exactly so much of it, then silence."""
        return through.status == 200 and through.ended == "silent" and as_far(self, through)

    def cuts(self) -> bool:
        """While it holds, where no answer can have ended before the place."""
        return int(self.values["at_byte"]) <= SHORTEST_ANSWER_BYTES


def place(fault: WireFault) -> dict[str, Any]:
    """The rule's parameter for where in the answer it acts."""
    if fault.streamed():
        return {"at_token": int(fault.values["at_token"])}
    return {"at_byte": int(fault.values["at_byte"])}


def as_far(fault: WireFault, through: Answer) -> bool:
    """Whether exactly so much of the answer came."""
    if fault.streamed():
        return through.events == int(fault.values["at_token"])
    return len(through.body) == int(fault.values["at_byte"])
