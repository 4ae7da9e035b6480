"""The LLM link broken at the TCP level, by the proxy."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.llm_tcp.bandwidth import LLMBandwidth
from chaos.faults.llm_tcp.cut import LLMCut
from chaos.faults.llm_tcp.latency import LLMLatency
from chaos.faults.llm_tcp.refused import LLMRefused
from chaos.faults.llm_tcp.reset import LLMReset
from chaos.faults.llm_tcp.slow_close import LLMSlowClose
from chaos.faults.llm_tcp.timeout import LLMTimeout
from chaos.faults.llm_tcp.trickle import LLMTrickle

KINDS: tuple[type[Fault], ...] = (
    LLMTimeout,
    LLMRefused,
    LLMReset,
    LLMCut,
    LLMLatency,
    LLMBandwidth,
    LLMTrickle,
    LLMSlowClose,
)
