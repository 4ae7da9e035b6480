"""Errors in the server's own format: 503, 500, 429, 400.

Sources: llama.cpp's server (`tools/server`, form and words of its errors); RFC 6585, section 4,
and RFC 9110, section 10.2.3, for 429 and Retry-After.
"""

from typing import Annotated, Any, ClassVar

from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import WireFault, WireParams
from chaos.faults.params import number


class _StatusFault(WireFault):
    """The wire proxy answers with `status`; the request never reaches the server."""

    rule_kind = "status"
    always_useless = True
    status: ClassVar[int]
    error_type: ClassVar[str]

    def rule_params(self) -> dict[str, Any]:
        return {"status": self.status}

    def shows(self, through: Answer, direct: Answer) -> bool:
        return (
            through.ended == "complete"
            and through.status == self.status
            and through.error_type == self.error_type
        )


class LLMLoading(_StatusFault):
    """As in the first seconds of a server, but for the whole hold."""

    name = "llm_loading"
    summary = "503: the LLM server says that it loads its model"
    status = 503
    error_type = "unavailable_error"


class LLMError(_StatusFault):
    name = "llm_error"
    summary = "500: the LLM server fails in every request"
    status = 500
    error_type = "server_error"


class LLMContextOverflow(_StatusFault):
    """The prompt is too long for the context: a retry cannot help."""

    name = "llm_context_overflow"
    summary = "400: the LLM server says that the prompt exceeds its context"
    status = 400
    error_type = "exceed_context_size_error"


class LLMRateLimited(_StatusFault):
    """As a gateway in front of the server answers."""

    name = "llm_rate_limited"
    summary = "429 with Retry-After: too many requests"
    status = 429
    error_type = "rate_limit_error"

    class Params(WireParams):
        retry_after: Annotated[int, number("seconds to wait", 0, 3600)] = 1

    params: Params

    def rule_params(self) -> dict[str, Any]:
        return {"status": self.status, "retry_after_s": self.params.retry_after}

    def shows(self, through: Answer, direct: Answer) -> bool:
        seconds = str(self.params.retry_after)
        return super().shows(through, direct) and through.retry_after == seconds
