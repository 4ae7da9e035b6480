"""Broken links: connections to the LLM are refused, reset or cut, or hang without an answer."""

from typing import Annotated, Any

from chaos.faults.llm_tcp.link import (
    DIRECT_LIMIT_S,
    HEALTH,
    PROPS,
    LinkFault,
    LinkParams,
    Look,
    ToxicFault,
)
from chaos.faults.params import duration, number
from chaos.record.recovery_paths import LLM_DROP
from chaos.stack.base import Stack

# The shortest whole answer of the server (/health) is longer, so nothing usable gets through.
_SHORTEST_BYTES = 150


class LLMCut(ToxicFault):
    """Toxiproxy's `limit_data` toxic on the answers: after so many bytes the connection is closed.

    Proven by exactly that number of bytes and then the end, through the proxy, where the direct
    answer is longer and whole.
    """

    name = "llm_cut"
    summary = "the LLM's answers are cut after so many bytes"
    triage_path = LLM_DROP
    toxic = "limit_data"

    class Params(LinkParams):
        bytes: Annotated[int, number("bytes that pass, the answer's head included", 1, 1500)] = 100

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"bytes": self.params.bytes}

    def path(self) -> str:
        return HEALTH if self.params.bytes < _SHORTEST_BYTES else PROPS

    def shows(self, look: Look) -> bool:
        return look.through.outcome == "cut" and look.through.size_bytes == self.params.bytes

    def cuts(self) -> bool:
        return self.path() == HEALTH


class LLMRefused(LinkFault):
    """The proxy is disabled, which also closes the connections that are open.

    Proven by a refused connection (ECONNREFUSED) at the Watcher's endpoint between two direct
    answers.
    """

    name = "llm_refused"
    summary = "connections to the LLM are refused"
    triage_path = LLM_DROP
    always_cuts = True

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The endpoint. The proxy belongs to the run and ends with it."""
        return {"disabled": str(self.link(stack).proxied)}

    def inject(self, stack: Stack) -> None:
        self.link(stack).proxy.set_enabled(False)

    def shows(self, look: Look) -> bool:
        return look.through.outcome == "refused"

    def recover(self, stack: Stack) -> None:
        self.link(stack).proxy.set_enabled(True)

    def undone(self, stack: Stack) -> bool:
        return True


class LLMReset(ToxicFault):
    """Toxiproxy's `reset_peer` toxic: `after` so long the connection is dropped with unsent data.

    Proven by ECONNRESET at the client between two direct answers; a plain close gives none.
    """

    name = "llm_reset"
    summary = "connections to the LLM are reset (RST)"
    triage_path = LLM_DROP
    toxic = "reset_peer"
    always_cuts = True

    class Params(LinkParams):
        after: Annotated[float, duration("how long after the answer began", 0.0, 60.0)] = 0.0

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"timeout": round(self.params.after * 1000)}

    def look_s(self) -> float:
        return self.params.after + DIRECT_LIMIT_S

    def shows(self, look: Look) -> bool:
        through = look.through
        in_time = through.took_ms >= self.params.after * 900
        return through.outcome == "reset" and through.size_bytes == 0 and in_time


class LLMTimeout(ToxicFault):
    """Toxiproxy's `timeout` toxic on the requests: they vanish, and the server waits for them.

    The connection stays open until `timeout` is over (0: until the toxic is removed). On the
    answers the same toxic would not hang: it passes on the close of the server, which closes after
    each answer. Removing the toxic closes the connections that it held. Proven by silence through
    the proxy between two direct answers. Source: Toxiproxy's documentation, and tests with it.
    """

    name = "llm_timeout"
    summary = "the LLM server hangs: requests go in, no answer comes out"
    triage_path = LLM_DROP
    toxic = "timeout"
    always_cuts = True
    stream = "upstream"

    class Params(LinkParams):
        timeout: Annotated[
            float, duration("until a hung connection is closed; 0: when the fault ends", 0.0, 3600)
        ] = 0.0

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"timeout": max(1, round(self.params.timeout * 1000)) if self.params.timeout else 0}

    def shows(self, look: Look) -> bool:
        through = look.through
        if through.outcome == "timeout":
            return through.size_bytes == 0
        closes = 0 < self.params.timeout < self.look_s()
        in_time = through.took_ms >= self.params.timeout * 900
        return closes and through.outcome == "closed" and in_time
