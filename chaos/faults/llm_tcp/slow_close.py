"""llm_slow_close: answers come whole and in time, but the connection stays open after them.

Done by Toxiproxy's `slow_close` toxic on the answers: the server's close is passed on later by
`delay`. A client that reads to the end of the connection is held up. Proven, twice in a row, by
the time between the last byte and the end, through the proxy against directly.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import DIRECT_LIMIT_S, Look, ToxicFault


class LLMSlowClose(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_slow_close"
    summary: ClassVar[str] = "connections to the LLM stay open after the answer"
    toxic: ClassVar[str] = "slow_close"
    looks_min: ClassVar[int] = 2
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("delay", "duration", "so long", default=1.0, min=0.1, max=60.0),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._delay_s = float(values["delay"])

    def attributes(self) -> dict[str, int]:
        """In ms."""
        return {"delay": round(self._delay_s * 1000)}

    def look_s(self) -> float:
        """The delay, and some more."""
        return self._delay_s + DIRECT_LIMIT_S

    def felt(self, look: Look) -> bool:
        """A whole answer with a late end, and only through the proxy."""
        least_ms = self._delay_s * 900
        direct_ms = max(look.before.close_ms, look.after.close_ms)
        return look.through.ok and look.through.close_ms >= least_ms and direct_ms < least_ms / 4

    def details(self, look: Look) -> dict[str, Any]:
        """Both waits for the end."""
        return {
            "close_ms": round(look.through.close_ms, 1),
            "direct_close_ms": round(max(look.before.close_ms, look.after.close_ms), 1),
        }
