"""llm_refused: nobody listens where the Watcher expects the LLM.

Done by disabling the proxy, which also closes the connections that are open. Proven by a refused
connection (ECONNREFUSED) at the Watcher's endpoint between two direct answers.
"""

from typing import Any

from chaos.faults.llm_tcp.link import LinkFault, Look
from chaos.record.recovery_paths import LLM_DROP
from chaos.stack.base import Stack


class LLMRefused(LinkFault):
    name = "llm_refused"
    summary = "connections to the LLM are refused"
    triage_path = LLM_DROP

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the endpoint; the proxy is the run's own and dies with it."""
        return {"disabled": str(stack.proxied_llm)}

    def inject(self, stack: Stack) -> None:
        stack.proxy.set_enabled(False)

    def felt(self, look: Look) -> bool:
        return look.through.outcome == "refused"

    def cuts(self, look: Look) -> bool:
        return True

    def recover(self, stack: Stack) -> None:
        stack.proxy.set_enabled(True)

    def healed(self, stack: Stack) -> bool:
        return True
