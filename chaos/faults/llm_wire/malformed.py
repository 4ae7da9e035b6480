"""Whole answers with status 200 that a client of OpenAI's API must not take as they are.

A text that ends at the limit of tokens, a stream without its end mark, no choices, a tool call that
cannot be made, the answer of another model. Where llama.cpp's own API has the like, too.
"""

import json
from abc import abstractmethod
from typing import Annotated, Any, Literal

from chaos.faults.llm_wire.answer import TOOL, Answer
from chaos.faults.llm_wire.fault import WireFault
from chaos.faults.llm_wire.params import WireParams
from chaos.faults.params import text
from chaos.record.recovery_paths import NO_PATH
from chaos.stack.llm_api import LLAMA, Completion, Form


class _MalformedFault(WireFault):
    """The wire proxy changes a whole answer."""

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        ours, theirs = through.completion, direct.completion
        if not through.good or ours is None or theirs is None:
            return False
        return self.differs(ours, theirs)

    @abstractmethod
    def differs(self, through: Completion, direct: Completion) -> bool:
        """True if `through` is exactly what this kind makes of `direct`."""


class LLMShortAnswer(_MalformedFault):
    """`finish_reason: length` (llama.cpp: `stop_type: limit`), and half of the text."""

    name = "llm_short_answer"
    summary = "each answer ends in its middle, at the limit of tokens"
    rule_kind = "short"

    def differs(self, through: Completion, direct: Completion) -> bool:
        whole, part = direct.text or "", through.text
        shorter = part is not None and part != whole and whole.startswith(part)
        return shorter and through.cut_short and not direct.cut_short


class LLMNoEnd(_MalformedFault):
    """The connection ends as it should. `[DONE]` is missing, or llama.cpp's last event."""

    name = "llm_no_end"
    summary = "a streamed answer ends without its end mark ([DONE])"
    triage_path = NO_PATH  # many clients take it for whole: only the wire shows it
    rule_kind = "no_end"
    only_streamed = True

    def differs(self, through: Completion, direct: Completion) -> bool:
        return direct.ended and not through.ended and through.text == direct.text


class LLMEmptyChoices(_MalformedFault):
    name = "llm_empty_choices"
    summary = "OpenAI's API: each answer has an empty list of choices"
    rule_kind = "no_choices"

    class Params(WireParams):
        path: Annotated[
            Literal["any", "/v1/completions", "/v1/chat/completions"],
            text("strike requests on this path, and its other names"),
        ] = "any"

        def paths(self) -> tuple[str, ...]:
            return tuple(path for path in super().paths() if path != LLAMA)

    params: Params

    def differs(self, through: Completion, direct: Completion) -> bool:
        return through.without_choices and not direct.without_choices


class LLMBadToolCall(_MalformedFault):
    """Only a request that offers tools is struck."""

    name = "llm_bad_tool_call"
    summary = "chats with tools: a tool call with broken arguments, or of an unknown tool"
    triage_path = NO_PATH  # a client may tell the model, and ask again
    rule_kind = "tool_call"
    needs_tools = True

    class Params(WireParams):
        path: Annotated[Literal["/v1/chat/completions"], text("only chats have tools")] = (
            "/v1/chat/completions"
        )
        defect: Annotated[
            Literal["arguments", "name"],
            text("arguments: they are no JSON; name: a tool that the request does not offer"),
        ] = "arguments"

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"defect": self.params.defect}

    def differs(self, through: Completion, direct: Completion) -> bool:
        if len(through.tool_calls) != 1 or through.finish != "tool_calls":
            return False
        ((name, arguments),) = through.tool_calls
        try:
            json.loads(arguments)
        except ValueError:
            return self.params.defect == "arguments" and name == TOOL
        return self.params.defect == "name" and name != TOOL


class LLMWrongModel(_MalformedFault):
    """The answer is the model's, and names another one. The LLM answers meanwhile."""

    name = "llm_wrong_model"
    summary = "each answer names another model"
    triage_path = NO_PATH  # a client may accept it
    rule_kind = "wrong_model"

    class Params(WireParams):
        model: Annotated[str, text("the name that it gives")] = "another-model"

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"content": self.params.model}

    def differs(self, through: Completion, direct: Completion) -> bool:
        renamed = through.model == self.params.model != direct.model
        return renamed and through.text == direct.text
