"""llm_truncated: the answer is cut. Its length is announced as it was (an incomplete read), or
made to fit (valid HTTP, broken JSON).
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param
from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import AT_BYTE, AT_TOKEN, EVERY, SHORTEST_ANSWER_BYTES, WireFault
from chaos.faults.llm_wire.late import as_far, place


class LLMTruncated(WireFault):
    """See the module."""

    name: ClassVar[str] = "llm_truncated"
    summary: ClassVar[str] = "each answer is cut in its middle"
    rule_kind: ClassVar[str] = "truncate"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        EVERY,
        AT_BYTE,
        AT_TOKEN,
        Param(
            "length",
            "text",
            "announced length: original (an incomplete read), rewritten (whole, but broken JSON)",
            default="original",
            choices=("original", "rewritten"),
        ),
    )

    def rule_params(self) -> dict[str, Any]:
        """Where it is cut, and which length is told."""
        return {**place(self), "length": self.values["length"]}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """Exactly so much of it, and the end that belongs to the length."""
        ended = "closed" if self.values["length"] == "original" else "complete"
        shorter = len(through.body) < len(direct.body)
        return (
            through.status == 200 and through.ended == ended and shorter and as_far(self, through)
        )

    def cuts(self) -> bool:
        """Where no answer can have ended before the place."""
        return int(self.values["at_byte"]) <= SHORTEST_ANSWER_BYTES
