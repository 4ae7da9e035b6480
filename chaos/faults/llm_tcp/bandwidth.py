"""llm_bandwidth: the LLM's answers arrive at a trickle of so many kB/s.

Done by Toxiproxy's `bandwidth` toxic on the answers. Proven by the bytes per second of a real
answer of some kilobytes (the server's `/props`) through the proxy, at most a third above the rate,
against the same answer directly, at least five times as fast.
"""

from typing import Annotated, Any

from chaos.faults.llm_tcp.link import PROPS, Look, ToxicFault
from chaos.faults.params import FaultParams, number

_PART_KBYTES = 1.5  # of the answer; the rest is not waited for
_SLACK_S = 0.5
_FASTER_MIN = 5.0
_ABOVE_MAX = 1.34
_BYTES_MIN = 500  # fewer say nothing of a rate


class LLMBandwidth(ToxicFault):
    name = "llm_bandwidth"
    summary = "the link to the LLM carries only so many kB/s"
    toxic = "bandwidth"

    class Params(FaultParams):
        rate: Annotated[int, number("1000 bytes per second", 1, 20)] = 1

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"rate": self.params.rate}

    def path(self) -> str:
        return PROPS

    def look_s(self) -> float:
        return _PART_KBYTES / self.params.rate + _SLACK_S

    def felt(self, look: Look) -> bool:
        through, direct = look.through, min(look.before.rate_kbyte_s, look.after.rate_kbyte_s)
        slow = 0 < through.rate_kbyte_s <= self.params.rate * _ABOVE_MAX
        fast = direct >= self.params.rate * _FASTER_MIN
        return through.size_bytes >= _BYTES_MIN and slow and fast

    def details(self, look: Look) -> dict[str, Any]:
        return {
            "through_proxy_kbyte_s": round(look.through.rate_kbyte_s, 2),
            "direct_kbyte_s": round(min(look.before.rate_kbyte_s, look.after.rate_kbyte_s), 1),
        }
