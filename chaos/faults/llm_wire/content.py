"""Good answers with the wrong content: prose where a grammar was asked for, or another decision.

A server whose grammar fails to load answers 200 with free text; a model may always be wrong.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param
from chaos.faults.llm_wire.answer import ALLOWED, Answer
from chaos.faults.llm_wire.fault import EVERY, WireFault
from chaos.record.recovery_paths import NO_PATH


class LLMProse(WireFault):
    """The content ignores the grammar; everything else is as the server said it."""

    name: ClassVar[str] = "llm_prose"
    summary: ClassVar[str] = "200 with prose: the answer ignores the grammar"
    rule_kind: ClassVar[str] = "prose"

    def rule_params(self) -> dict[str, Any]:
        """None: the prose is the wire proxy's own."""
        return {}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """A whole completion with a text that the grammar does not allow."""
        return through.good and through.content is not None and through.content not in ALLOWED

    def cuts(self) -> bool:
        """Prose decides nothing."""
        return True


class LLMWrongDecision(WireFault):
    """The grammar is obeyed, the decision is not the model's: whoever asks must live with it.

    A decision without the LLM is no more legal than at any other time.
    """

    name: ClassVar[str] = "llm_wrong_decision"
    summary: ClassVar[str] = "200 with another decision that the grammar allows"
    affects_llm: ClassVar[bool] = False
    triage_path: ClassVar[str] = NO_PATH  # no chapter of the guide: nothing shows it but the wire
    rule_kind: ClassVar[str] = "wrong_decision"
    compares_content: ClassVar[bool] = True
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        EVERY,
        Param(
            "content",
            "text",
            "this decision where the grammar allows it; else the first that is not the model's",
            default="",
        ),
    )

    def rule_params(self) -> dict[str, Any]:
        """The wished content."""
        return {"content": str(self.values["content"])}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """Usable, and different."""
        return through.usable and through.content != direct.content
