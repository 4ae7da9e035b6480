"""llm_reset: connections to the LLM end by a reset (RST), as when a host falls over.

Done by Toxiproxy's `reset_peer` toxic: `after` so long the connection is dropped with unsent data
discarded. Proven by ECONNRESET seen at the client, which a plain close would not give, between two
direct answers.
"""

from typing import Annotated

from chaos.faults.llm_tcp.link import DIRECT_LIMIT_S, Look, ToxicFault
from chaos.faults.params import FaultParams, duration
from chaos.record.recovery_paths import LLM_DROP


class LLMReset(ToxicFault):
    name = "llm_reset"
    summary = "connections to the LLM are reset (RST)"
    triage_path = LLM_DROP
    toxic = "reset_peer"

    class Params(FaultParams):
        after: Annotated[float, duration("how long after the answer began", 0.0, 60.0)] = 0.0

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"timeout": round(self.params.after * 1000)}

    def look_s(self) -> float:
        return self.params.after + DIRECT_LIMIT_S

    def felt(self, look: Look) -> bool:
        seen = look.through
        in_time = seen.took_ms >= self.params.after * 900
        return seen.outcome == "reset" and seen.size_bytes == 0 and in_time

    def cuts(self, look: Look) -> bool:
        return True
