"""llm_timeout: the LLM server hangs. Connections open, requests go in, no answer comes out.

Done by Toxiproxy's `timeout` toxic on the requests: they vanish, the server waits for them, and
the connection stays open until `timeout` is over (0: until the toxic is removed). On the answers
the same toxic would not hang: it passes on the server's close, and a server that closes after
each answer makes the client see a close without an answer at once, as a run on the real parts
showed. Removing the toxic closes what it held, so healing is itself a visible disconnect.
Proven by silence through the proxy between two direct answers. Source: Toxiproxy's
documentation, and what it does.
"""

from typing import Annotated

from chaos.faults.llm_tcp.link import Look, ToxicFault
from chaos.faults.params import FaultParams, duration
from chaos.record.recovery_paths import LLM_DROP


class LLMTimeout(ToxicFault):
    name = "llm_timeout"
    summary = "the LLM server hangs: requests go in, no answer comes out"
    triage_path = LLM_DROP
    toxic = "timeout"
    stream = "upstream"

    class Params(FaultParams):
        timeout: Annotated[
            float,
            duration(
                "close a hung connection after this long; 0 holds it until the fault ends",
                0.0,
                3600.0,
            ),
        ] = 0.0

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"timeout": max(1, round(self.params.timeout * 1000)) if self.params.timeout else 0}

    def felt(self, look: Look) -> bool:
        seen = look.through
        if seen.outcome == "timeout":
            return seen.size_bytes == 0
        closes = 0 < self.params.timeout < self.look_s()
        return closes and seen.outcome == "closed" and seen.took_ms >= self.params.timeout * 900

    def cuts(self, look: Look) -> bool:
        return True
