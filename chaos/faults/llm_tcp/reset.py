"""llm_reset: connections to the LLM end by a reset (RST), as when a host falls over.

Done by Toxiproxy's `reset_peer` toxic: `after` so long the connection is dropped with unsent data
discarded. Proven by ECONNRESET seen at the client, which a plain close would not give, between two
direct answers.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import DIRECT_LIMIT_S, Look, ToxicFault
from chaos.record.recovery_paths import LLM_DROP


class LLMReset(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_reset"
    summary: ClassVar[str] = "connections to the LLM are reset (RST)"
    triage_path: ClassVar[str] = LLM_DROP
    toxic: ClassVar[str] = "reset_peer"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "after", "duration", "so long after the answer began", default=0.0, min=0.0, max=60.0
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._after_s = float(values["after"])

    def attributes(self) -> dict[str, int]:
        """In ms."""
        return {"timeout": round(self._after_s * 1000)}

    def look_s(self) -> float:
        """Until the reset, and some more."""
        return self._after_s + DIRECT_LIMIT_S

    def felt(self, look: Look) -> bool:
        """A reset without a byte, once its time was over."""
        seen = look.through
        in_time = seen.took_ms >= self._after_s * 900
        return seen.outcome == "reset" and seen.size_bytes == 0 and in_time

    def cuts(self, look: Look) -> bool:
        """The answer is dropped."""
        return True
