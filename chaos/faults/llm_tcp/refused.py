"""llm_refused: nobody listens where the Watcher expects the LLM.

Done by disabling the proxy, which also closes the connections that are open. Proven by a refused
connection (ECONNREFUSED) at the Watcher's endpoint between two direct answers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.llm_tcp.link import LinkFault, Look
from chaos.record.recovery_paths import LLM_DROP
from chaos.stack.base import Stack


class LLMRefused(LinkFault):
    """See the module."""

    name: ClassVar[str] = "llm_refused"
    summary: ClassVar[str] = "connections to the LLM are refused"
    triage_path: ClassVar[str] = LLM_DROP

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the endpoint; the proxy is the run's own and dies with it."""
        return {"disabled": str(stack.proxied_llm)}

    def inject(self, stack: Stack) -> None:
        """Disable the proxy."""
        stack.proxy.set_enabled(False)

    def felt(self, look: Look) -> bool:
        """Refused, not merely closed."""
        return look.through.outcome == "refused"

    def cuts(self, look: Look) -> bool:
        """No request arrives."""
        return True

    def recover(self, stack: Stack) -> None:
        """Enable the proxy."""
        stack.proxy.set_enabled(True)

    def healed(self, stack: Stack) -> bool:
        """Said by the exchange itself: only a proxy that listens answers."""
        return True
