"""The LLM link broken at the HTTP level, by the wire proxy."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.llm_wire.content import LLMProse, LLMWrongDecision
from chaos.faults.llm_wire.late import LLMSlowFirstToken, LLMStall
from chaos.faults.llm_wire.status import LLMContextOverflow, LLMError, LLMLoading, LLMRateLimited
from chaos.faults.llm_wire.truncated import LLMTruncated

KINDS: tuple[type[Fault], ...] = (
    LLMLoading,
    LLMError,
    LLMRateLimited,
    LLMContextOverflow,
    LLMSlowFirstToken,
    LLMStall,
    LLMTruncated,
    LLMProse,
    LLMWrongDecision,
)
