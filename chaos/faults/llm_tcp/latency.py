"""llm_latency: every answer comes later, by `latency`, varied by `jitter`.

Done by Toxiproxy's `latency` toxic on the answers. Proven, twice in a row, by an exchange through
the proxy that takes at least the shortest latency possible, between two direct ones that take
less than a quarter of it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import Look, ToxicFault

_SLACK_S = 1.0


class LLMLatency(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_latency"
    summary: ClassVar[str] = "the LLM's answers come late: latency and jitter on the link"
    toxic: ClassVar[str] = "latency"
    looks_min: ClassVar[int] = 2
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("latency", "duration", "by how much", default=1.5, min=0.1, max=60.0),
        Param(
            "jitter",
            "number",
            "varied by so much of it, up and down (0.2: a fifth)",
            default=0.2,
            min=0.0,
            max=0.8,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._latency_s = float(values["latency"])
        self._jitter_s = self._latency_s * float(values["jitter"])

    def attributes(self) -> dict[str, int]:
        """In ms."""
        return {
            "latency": round(self._latency_s * 1000),
            "jitter": round(self._jitter_s * 1000),
        }

    def look_s(self) -> float:
        """The longest latency possible, and some more."""
        return self._latency_s + self._jitter_s + _SLACK_S

    def felt(self, look: Look) -> bool:
        """Late, and only through the proxy."""
        least_ms = (self._latency_s - self._jitter_s) * 950
        return look.through.last_byte_ms >= least_ms and look.direct_ms < least_ms / 4

    def details(self, look: Look) -> dict[str, Any]:
        """How much later it came."""
        return {"later_ms": round(look.through.last_byte_ms - look.direct_ms, 1)}
