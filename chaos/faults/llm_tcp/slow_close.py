"""llm_slow_close: answers come whole and in time, but the connection stays open after them.

Done by Toxiproxy's `slow_close` toxic on the answers: the server's close is passed on later by
`delay`. A client that reads to the end of the connection is held up. Proven, twice in a row, by
the time between the last byte and the end, through the proxy against directly.
"""

from typing import Annotated, Any

from chaos.faults.llm_tcp.link import DIRECT_LIMIT_S, Look, ToxicFault
from chaos.faults.params import FaultParams, duration


class LLMSlowClose(ToxicFault):
    name = "llm_slow_close"
    summary = "connections to the LLM stay open after the answer"
    toxic = "slow_close"
    looks_min = 2

    class Params(FaultParams):
        delay: Annotated[float, duration("how long after the answer", 0.1, 60.0)] = 1.0

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"delay": round(self.params.delay * 1000)}

    def look_s(self) -> float:
        return self.params.delay + DIRECT_LIMIT_S

    def felt(self, look: Look) -> bool:
        least_ms = self.params.delay * 900
        direct_ms = max(look.before.close_ms, look.after.close_ms)
        return look.through.ok and look.through.close_ms >= least_ms and direct_ms < least_ms / 4

    def details(self, look: Look) -> dict[str, Any]:
        return {
            "close_ms": round(look.through.close_ms, 1),
            "direct_close_ms": round(max(look.before.close_ms, look.after.close_ms), 1),
        }
