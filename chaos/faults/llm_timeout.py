"""llm_timeout: the LLM server hangs. Connections open, requests go in, no answer comes out.

Done by Toxiproxy's `timeout` toxic on the requests: they vanish, the server waits for them, and
the connection stays open until `timeout` is over (0: until the toxic is removed). On the answers
the same toxic would not hang: it passes on the server's close, and a server that closes after
each answer makes the client see a close without an answer at once, as a run on the real parts
showed. Removing the toxic closes what it held, so healing is itself a visible disconnect.
Source: Toxiproxy's documentation, and what it does.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from chaos.deadline import Deadline
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Param, Value
from chaos.faults.wire_probe import Wire, http_get
from chaos.paths import LLM_CLIENT, LLM_DROP
from chaos.stack.base import Stack

_PROBE_LIMIT_S = 1.0
_PROBE_PAUSE_S = 0.1


class LLMTimeout:
    """See the module. The witness: no answer through the proxy while a direct one comes."""

    name: ClassVar[str] = "llm_timeout"
    summary: ClassVar[str] = "the LLM server hangs: requests go in, no answer comes out"
    scope: ClassVar[Literal["stack", "host"]] = "stack"
    triage_path: ClassVar[str] = LLM_DROP
    reconnection_path: ClassVar[str] = LLM_CLIENT
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
        self.fault_id = fault_id
        self._timeout_s = float(values["timeout"])
        self._toxic = f"chaos_{fault_id}"

    def available(self, stack: Stack) -> str | None:
        """Always, where a proxy answers."""
        version = stack.proxy.version()
        return None if version else "the proxy does not answer"

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the toxic; it lives in the run's own proxy and dies with it."""
        return {"toxic": self._toxic, "proxy": str(stack.proxied_llm)}

    def inject(self, stack: Stack) -> None:
        """Add the toxic."""
        attributes = {"timeout": round(self._timeout_s * 1000)}
        stack.proxy.add_toxic(self._toxic, "timeout", attributes, stream="upstream")

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A direct answer, none through the proxy, a direct answer again.

        The Watcher stops the LLM server now and then by design; while it is down nothing can
        be told, so the probe tries again until the deadline.
        """
        measured: dict[str, Any] = {"attempts": 0}
        while deadline.left_s() > _PROBE_LIMIT_S:  # a look must end while the fault still holds
            measured["attempts"] += 1
            before = http_get(stack.direct_llm, "/health", _PROBE_LIMIT_S)
            if before.ok:
                through = http_get(stack.proxied_llm, "/health", _PROBE_LIMIT_S)
                after = http_get(stack.direct_llm, "/health", _PROBE_LIMIT_S)
                measured |= {
                    "direct_before": before.measured(),
                    "through_proxy": through.measured(),
                    "direct_after": after.measured(),
                }
                if after.ok and self._hung(through):
                    return Evidence(True, measured)
            deadline.wait(_PROBE_PAUSE_S)
        return Evidence(False, measured)

    def _hung(self, seen: Wire) -> bool:
        """Silence until the probe's own limit, or a close once the toxic's time was over."""
        if seen.outcome == "timeout":
            return True
        closes = 0 < self._timeout_s < _PROBE_LIMIT_S
        return closes and seen.outcome == "closed" and seen.took_ms >= self._timeout_s * 900

    def recover(self, stack: Stack) -> None:
        """Remove the toxic."""
        stack.proxy.remove_toxic(self._toxic)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The toxic is gone, and the proxy answers as the server does."""
        measured: dict[str, Any] = {"attempts": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            gone = self._toxic not in stack.proxy.toxics()
            direct = http_get(stack.direct_llm, "/health", _PROBE_LIMIT_S)
            through = http_get(stack.proxied_llm, "/health", _PROBE_LIMIT_S)
            measured |= {
                "toxic_gone": gone,
                "direct": direct.measured(),
                "through_proxy": through.measured(),
            }
            if gone and direct.ok and through.ok:
                return Evidence(True, measured)
            deadline.wait(_PROBE_PAUSE_S)
        return Evidence(False, measured)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        """Nothing to do: the toxic lived in the memory of the run's own proxy."""
