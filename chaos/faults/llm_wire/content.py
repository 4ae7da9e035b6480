"""Valid answers with wrong content: prose where a grammar is set, or another decision.

A server whose grammar fails to load answers 200 with free text; a model may always be wrong.
"""

from typing import Annotated, Any

from chaos.faults.llm_wire.answer import ALLOWED, Answer
from chaos.faults.llm_wire.fault import WireFault
from chaos.faults.llm_wire.params import WireParams
from chaos.faults.params import text
from chaos.record.recovery_paths import NO_PATH
from chaos.stack.llm_api import Form


class LLMProse(WireFault):
    """The content ignores the grammar; all else is as the server sent it."""

    name = "llm_prose"
    summary = "200 with prose: the answer ignores the grammar"
    rule_kind = "prose"
    always_useless = True

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        said = through.completion
        if said is None or said.text is None or said.cut_short:
            return False
        return through.good and said.text not in ALLOWED


class LLMWrongDecision(WireFault):
    """The answer obeys the grammar, but is not the model's decision.

    A decision without the LLM is not legal meanwhile: the LLM answers.
    """

    name = "llm_wrong_decision"
    summary = "200 with another decision that the grammar allows"
    affects_llm = False
    triage_path = NO_PATH  # only the wire shows it
    rule_kind = "wrong_decision"
    compares_content = True

    class Params(WireParams):
        content: Annotated[
            str, text("the decision, where the grammar allows it; else the first not the model's")
        ] = ""

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"content": self.params.content}

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        return through.usable and through.content != direct.content
