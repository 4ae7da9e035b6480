"""Errors in the server's own words: 503, 500, 429, 400.

Sources: llama.cpp's server (`tools/server`, form and words of its errors); RFC 6585, section 4,
and RFC 9110, section 10.2.3, for 429 and Retry-After.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param
from chaos.faults.llm_wire.answer import Answer
from chaos.faults.llm_wire.fault import EVERY, WireFault


class _StatusFault(WireFault):
    """Answers with `status` in the server's place; the request never reaches the server."""

    rule_kind: ClassVar[str] = "status"
    status: ClassVar[int]
    error_type: ClassVar[str]

    def rule_params(self) -> dict[str, Any]:
        """The status."""
        return {"status": self.status}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """This very error, whole."""
        return (
            through.ended == "complete"
            and through.status == self.status
            and through.error_type == self.error_type
        )

    def cuts(self) -> bool:
        """An error is no answer."""
        return True


class LLMLoading(_StatusFault):
    """As in the first seconds of a server, but for as long as it holds."""

    name: ClassVar[str] = "llm_loading"
    summary: ClassVar[str] = "503: the LLM server says that it loads its model"
    status: ClassVar[int] = 503
    error_type: ClassVar[str] = "unavailable_error"


class LLMError(_StatusFault):
    """The server failed in the request."""

    name: ClassVar[str] = "llm_error"
    summary: ClassVar[str] = "500: the LLM server fails in every request"
    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "server_error"


class LLMContextOverflow(_StatusFault):
    """The prompt is said to be too long; trying again cannot help."""

    name: ClassVar[str] = "llm_context_overflow"
    summary: ClassVar[str] = "400: the LLM server says that the prompt exceeds its context"
    status: ClassVar[int] = 400
    error_type: ClassVar[str] = "exceed_context_size_error"


class LLMRateLimited(_StatusFault):
    """As a gateway before the server answers."""

    name: ClassVar[str] = "llm_rate_limited"
    summary: ClassVar[str] = "429 with Retry-After: too many requests"
    status: ClassVar[int] = 429
    error_type: ClassVar[str] = "rate_limit_error"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        EVERY,
        Param("retry_after", "int", "seconds to wait, as told", default=1, min=0, max=3600),
    )

    def rule_params(self) -> dict[str, Any]:
        """Status and Retry-After."""
        return {"status": self.status, "retry_after_s": int(self.values["retry_after"])}

    def shows(self, through: Answer, direct: Answer) -> bool:
        """The error with its header."""
        told = str(self.values["retry_after"])
        return super().shows(through, direct) and through.retry_after == told
