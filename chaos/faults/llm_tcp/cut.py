"""llm_cut: each answer of the LLM is cut after exactly so many bytes, and the connection closed.

Done by Toxiproxy's `limit_data` toxic on the answers. Proven by exactly that number of bytes, then
the end, through the proxy, where the direct answer is longer and whole.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import HEALTH, PROPS, Look, ToxicFault
from chaos.record.recovery_paths import LLM_DROP

# The shortest whole answer of the server (/health) is longer, so nothing usable gets through.
_SHORTEST_BYTES = 150


class LLMCut(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_cut"
    summary: ClassVar[str] = "the LLM's answers are cut after so many bytes"
    triage_path: ClassVar[str] = LLM_DROP
    toxic: ClassVar[str] = "limit_data"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "bytes",
            "int",
            "so many pass, the head of the answer included",
            default=100,
            min=1,
            max=1500,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._bytes = int(values["bytes"])

    def attributes(self) -> dict[str, int]:
        """In bytes."""
        return {"bytes": self._bytes}

    def path(self) -> str:
        """An answer that is longer than what passes."""
        return HEALTH if self._bytes < _SHORTEST_BYTES else PROPS

    def felt(self, look: Look) -> bool:
        """Cut at that very byte."""
        seen = look.through
        return seen.outcome == "cut" and seen.size_bytes == self._bytes

    def cuts(self, look: Look) -> bool:
        """Even the shortest answer is cut."""
        return self.path() == HEALTH
