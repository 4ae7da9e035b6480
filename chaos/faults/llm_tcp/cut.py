"""llm_cut: each answer of the LLM is cut after exactly so many bytes, and the connection closed.

Done by Toxiproxy's `limit_data` toxic on the answers. Proven by exactly that number of bytes, then
the end, through the proxy, where the direct answer is longer and whole.
"""

from typing import Annotated

from chaos.faults.llm_tcp.link import HEALTH, PROPS, Look, ToxicFault
from chaos.faults.params import FaultParams, number
from chaos.record.recovery_paths import LLM_DROP

# The shortest whole answer of the server (/health) is longer, so nothing usable gets through.
_SHORTEST_BYTES = 150


class LLMCut(ToxicFault):
    name = "llm_cut"
    summary = "the LLM's answers are cut after so many bytes"
    triage_path = LLM_DROP
    toxic = "limit_data"

    class Params(FaultParams):
        bytes: Annotated[int, number("bytes that pass, the answer's head included", 1, 1500)] = 100

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"bytes": self.params.bytes}

    def path(self) -> str:
        return HEALTH if self.params.bytes < _SHORTEST_BYTES else PROPS

    def felt(self, look: Look) -> bool:
        seen = look.through
        return seen.outcome == "cut" and seen.size_bytes == self.params.bytes

    def cuts(self, look: Look) -> bool:
        return self.path() == HEALTH
