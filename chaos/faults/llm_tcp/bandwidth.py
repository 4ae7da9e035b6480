"""llm_bandwidth: the LLM's answers arrive at a trickle of so many kB/s.

Done by Toxiproxy's `bandwidth` toxic on the answers. Proven by the bytes per second of a real
answer of some kilobytes (the server's `/props`) through the proxy, at most a third above the rate,
against the same answer directly, at least five times as fast.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import PROPS, Look, ToxicFault

_PART_KBYTES = 1.5  # of the answer; the rest is not waited for
_SLACK_S = 0.5
_FASTER_MIN = 5.0
_ABOVE_MAX = 1.34
_BYTES_MIN = 500  # fewer say nothing of a rate


class LLMBandwidth(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_bandwidth"
    summary: ClassVar[str] = "the link to the LLM carries only so many kB/s"
    toxic: ClassVar[str] = "bandwidth"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("rate", "int", "1000 bytes per second", default=1, min=1, max=20),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._rate = int(values["rate"])

    def attributes(self) -> dict[str, int]:
        """In kB/s."""
        return {"rate": self._rate}

    def path(self) -> str:
        """An answer that is long enough to have a rate."""
        return PROPS

    def look_s(self) -> float:
        """What that part takes at that rate, and some more."""
        return _PART_KBYTES / self._rate + _SLACK_S

    def felt(self, look: Look) -> bool:
        """Slow through the proxy, fast without it."""
        through, direct = look.through, min(look.before.rate_kbyte_s, look.after.rate_kbyte_s)
        slow = 0 < through.rate_kbyte_s <= self._rate * _ABOVE_MAX
        fast = direct >= self._rate * _FASTER_MIN
        return through.size_bytes >= _BYTES_MIN and slow and fast

    def details(self, look: Look) -> dict[str, Any]:
        """Both rates."""
        return {
            "through_proxy_kbyte_s": round(look.through.rate_kbyte_s, 2),
            "direct_kbyte_s": round(min(look.before.rate_kbyte_s, look.after.rate_kbyte_s), 1),
        }
