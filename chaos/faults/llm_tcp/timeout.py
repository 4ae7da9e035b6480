"""llm_timeout: the LLM server hangs. Connections open, requests go in, no answer comes out.

Done by Toxiproxy's `timeout` toxic on the requests: they vanish, the server waits for them, and
the connection stays open until `timeout` is over (0: until the toxic is removed). On the answers
the same toxic would not hang: it passes on the server's close, and a server that closes after
each answer makes the client see a close without an answer at once, as a run on the real parts
showed. Removing the toxic closes what it held, so healing is itself a visible disconnect.
Proven by silence through the proxy between two direct answers. Source: Toxiproxy's
documentation, and what it does.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import Look, ToxicFault
from chaos.record.recovery_paths import LLM_DROP


class LLMTimeout(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_timeout"
    summary: ClassVar[str] = "the LLM server hangs: requests go in, no answer comes out"
    triage_path: ClassVar[str] = LLM_DROP
    toxic: ClassVar[str] = "timeout"
    stream: ClassVar[str] = "upstream"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "timeout",
            "duration",
            "close a hung connection after this long; 0 holds it until the fault ends",
            default=0.0,
            min=0.0,
            max=3600.0,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._timeout_s = float(values["timeout"])

    def attributes(self) -> dict[str, int]:
        """In ms; anything above 0 stays above 0, which would mean for ever."""
        return {"timeout": max(1, round(self._timeout_s * 1000)) if self._timeout_s else 0}

    def felt(self, look: Look) -> bool:
        """Silence until the look's own limit, or a close once the toxic's time was over."""
        seen = look.through
        if seen.outcome == "timeout":
            return seen.size_bytes == 0
        closes = 0 < self._timeout_s < self.look_s()
        return closes and seen.outcome == "closed" and seen.took_ms >= self._timeout_s * 900

    def cuts(self, look: Look) -> bool:
        """No request arrives."""
        return True
