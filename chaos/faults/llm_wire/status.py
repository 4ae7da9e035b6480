"""Errors in the format of the API that is asked: 503, 500, 429, 401, 400.

Sources: llama.cpp's server (`tools/server`, form and words of its errors); OpenAI's guides "Error
codes" and "Rate limits"; RFC 6585, section 4, and RFC 9110, section 10.2.3, for 429 and
Retry-After.
"""

from typing import Annotated, Any, ClassVar

from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import WireFault
from chaos.faults.llm_wire.params import WireParams
from chaos.faults.params import number
from chaos.stack.llm_api import LLAMA, Form


class _StatusFault(WireFault):
    """The wire proxy answers with `status`; the request never reaches the server."""

    rule_kind = "status"
    always_useless = True
    status: ClassVar[int]
    llama_error: ClassVar[str]
    openai_error: ClassVar[str]

    def rule_params(self) -> dict[str, Any]:
        return {"status": self.status}

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        error = self.llama_error if form.path == LLAMA else self.openai_error
        answered = through.ended == "complete" and through.status == self.status
        return answered and through.error == error


class LLMLoading(_StatusFault):
    """As in the first seconds of a server, but for the whole hold. OpenAI's API is overloaded."""

    name = "llm_loading"
    summary = "503: the LLM server loads its model, or is overloaded (OpenAI's API)"
    status = 503
    llama_error = "unavailable_error"
    openai_error = "server_error"


class LLMError(_StatusFault):
    name = "llm_error"
    summary = "500: the LLM server fails in every request"
    status = 500
    llama_error = openai_error = "server_error"


class LLMUnauthorized(_StatusFault):
    """The key has expired: a retry cannot help."""

    name = "llm_unauthorized"
    summary = "401: the LLM server does not accept the API key any more"
    status = 401
    llama_error = "authentication_error"
    openai_error = "invalid_api_key"


class LLMContextOverflow(_StatusFault):
    """The prompt is too long for the context: a retry cannot help."""

    name = "llm_context_overflow"
    summary = "400: the LLM server says that the prompt exceeds its context"
    status = 400
    llama_error = "exceed_context_size_error"
    openai_error = "context_length_exceeded"


class LLMRateLimited(_StatusFault):
    """As a gateway in front of the server answers."""

    name = "llm_rate_limited"
    summary = "429 with Retry-After: too many requests"
    status = 429
    llama_error = "rate_limit_error"
    openai_error = "rate_limit_exceeded"

    class Params(WireParams):
        retry_after: Annotated[int, number("seconds to wait", 0, 3600)] = 1

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"status": self.status, "retry_after_s": self.params.retry_after}

    def shows(self, through: Answer, direct: Answer, form: Form) -> bool:
        seconds = str(self.params.retry_after)
        return (
            super().shows(through, direct, form) and through.headers.get("retry-after") == seconds
        )
