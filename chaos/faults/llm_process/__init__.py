"""The LLM server itself: killed, paused, slow, deaf."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.llm_process.ignores_stop import LLMIgnoresStop
from chaos.faults.llm_process.killed import LLMKilled
from chaos.faults.llm_process.paused import LLMPaused
from chaos.faults.llm_process.slow_load import LLMSlowLoad

KINDS: tuple[type[Fault], ...] = (LLMKilled, LLMPaused, LLMSlowLoad, LLMIgnoresStop)
