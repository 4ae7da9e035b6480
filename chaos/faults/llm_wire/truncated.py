"""llm_truncated: the answer is cut. Its length is announced as it was (an incomplete read), or
made to fit (valid HTTP, broken JSON).
"""

from typing import Annotated, Any, Literal

from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import PlacedFault, PlaceParams
from chaos.faults.params import text


class LLMTruncated(PlacedFault):
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

    def shows(self, through: Answer, direct: Answer) -> bool:
        ended = "closed" if self.params.length == "original" else "complete"
        shorter = len(through.body) < len(direct.body)
        return (
            through.status == 200
            and through.ended == ended
            and shorter
            and self.came_so_far(through)
        )
