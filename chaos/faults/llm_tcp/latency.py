"""llm_latency: every answer comes later, by `latency`, varied by `jitter`.

Done by Toxiproxy's `latency` toxic on the answers. Proven, twice in a row, by an exchange through
the proxy that takes at least the shortest latency possible, between two direct ones that take
less than a quarter of it.
"""

from typing import Annotated, Any

from chaos.faults.llm_tcp.link import Look, ToxicFault
from chaos.faults.params import FaultParams, duration, number

_SLACK_S = 1.0


class LLMLatency(ToxicFault):
    name = "llm_latency"
    summary = "the LLM's answers come late: latency and jitter on the link"
    toxic = "latency"
    looks_min = 2

    class Params(FaultParams):
        latency: Annotated[float, duration("by how much", 0.1, 60.0)] = 1.5
        jitter: Annotated[
            float, number("the part of it by which it varies, up and down (0.2: a fifth)", 0.0, 0.8)
        ] = 0.2

    params: Params

    @property
    def _jitter_s(self) -> float:
        return self.params.latency * self.params.jitter

    def attributes(self) -> dict[str, int]:
        return {
            "latency": round(self.params.latency * 1000),
            "jitter": round(self._jitter_s * 1000),
        }

    def look_s(self) -> float:
        return self.params.latency + self._jitter_s + _SLACK_S

    def felt(self, look: Look) -> bool:
        least_ms = (self.params.latency - self._jitter_s) * 950
        return look.through.last_byte_ms >= least_ms and look.direct_ms < least_ms / 4

    def details(self, look: Look) -> dict[str, Any]:
        return {"later_ms": round(look.through.last_byte_ms - look.direct_ms, 1)}
