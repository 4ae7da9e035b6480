"""What the kinds on the TCP link share: a break in the proxy, and the proof by comparison.

Each look is three exchanges with the real server: directly, through the proxy, directly again.
The effect is proven when both direct ones are whole and quick and the one through the proxy shows
exactly what the kind does. The Watcher stops the LLM server now and then by design; while it is
down nothing can be told, so looks are repeated until the deadline.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault, Group, Value
from chaos.faults.exchange import Exchange, exchange
from chaos.record.recovery_paths import LLM_CLIENT
from chaos.stack.base import Stack

HEALTH, PROPS = "/health", "/props"  # a short answer, and one of some kilobytes
DIRECT_LIMIT_S = 1.0
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Look:
    """One comparison. `told`: the server itself answered well before and after."""

    before: Exchange
    through: Exchange
    after: Exchange

    @property
    def told(self) -> bool:
        """Whether it tells anything about the link."""
        return self.before.ok and self.after.ok

    @property
    def direct_ms(self) -> float:
        """The slower of the direct exchanges."""
        return max(self.before.took_ms, self.after.took_ms)

    def measured(self) -> dict[str, Any]:
        """As written into the history."""
        return {
            "direct_before": self.before.measured(),
            "through_proxy": self.through.measured(),
            "direct_after": self.after.measured(),
        }


class LinkFault(Fault):
    """See the module. A kind says how the link is broken and healed, and what then is seen."""

    group: ClassVar[Group] = "llm_tcp"
    affects_llm: ClassVar[bool] = True
    compatible_groups: ClassVar[frozenset[str]] = frozenset({"disk"})
    reconnection_path: ClassVar[str] = LLM_CLIENT
    looks_min: ClassVar[int] = 1  # in a row, for an effect that a busy machine could imitate once

    def available(self, stack: Stack) -> str | None:
        """Wherever a proxy answers."""
        return None if stack.proxy.version() else "the proxy does not answer"

    @abstractmethod
    def felt(self, look: Look) -> bool:
        """Whether the exchange through the proxy shows what this kind does."""

    def details(self, look: Look) -> dict[str, Any]:
        """What else was measured, in the kind's own terms."""
        return {}

    def cuts(self, look: Look) -> bool:
        """Whether no usable answer can have come through."""
        return False

    def path(self) -> str:
        """What is asked for."""
        return HEALTH

    def look_s(self) -> float:
        """How long the exchange through the proxy may take, in seconds."""
        return DIRECT_LIMIT_S

    @abstractmethod
    def healed(self, stack: Stack) -> bool:
        """Whether the proxy itself says that the break is undone."""

    def look(self, stack: Stack) -> Look:
        """Compare once. While the server does not answer directly, the proxy is not asked."""
        before = exchange(stack.direct_llm, self.path(), DIRECT_LIMIT_S)
        if not before.ok:
            return Look(before, Exchange("refused", None, (), 0.0), before)
        through = exchange(stack.proxied_llm, self.path(), self.look_s())
        after = exchange(stack.direct_llm, self.path(), DIRECT_LIMIT_S)
        return Look(before, through, after)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Look until the effect was seen `looks_min` times in a row."""
        measured: dict[str, Any] = {"attempts": 0}
        seen = 0
        while deadline.left_s() > self.look_s():  # a look must end while the fault still holds
            measured["attempts"] += 1
            look = self.look(stack)
            if look.told:
                measured |= {**look.measured(), **self.details(look)}
                seen = seen + 1 if self.felt(look) else 0
                if seen >= self.looks_min:
                    return Evidence(True, {**measured, "cuts_llm": self.cuts(look)})
            deadline.wait(_PAUSE_S)
        return Evidence(False, measured)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The proxy says so, and an exchange through it is whole and shows nothing of the break."""
        measured: dict[str, Any] = {"attempts": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            measured["undone"] = self.healed(stack)
            look = self.look(stack)
            if look.told:
                measured |= {**look.measured(), **self.details(look)}
                if measured["undone"] and look.through.ok and not self.felt(look):
                    return Evidence(True, measured)
            deadline.wait(_PAUSE_S)
        return Evidence(False, measured)


class ToxicFault(LinkFault):
    """A kind that is one toxic of the proxy (Toxiproxy's documentation, "Toxics")."""

    toxic: ClassVar[str]
    stream: ClassVar[str] = "downstream"

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._name = f"chaos_{fault_id}"

    @abstractmethod
    def attributes(self) -> dict[str, int]:
        """The toxic's settings, in the proxy's units."""

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the toxic; it lives in the run's own proxy and dies with it."""
        return {"toxic": self._name, "proxy": str(stack.proxied_llm)}

    def inject(self, stack: Stack) -> None:
        """Add the toxic."""
        stack.proxy.add_toxic(self._name, self.toxic, self.attributes(), stream=self.stream)

    def recover(self, stack: Stack) -> None:
        """Remove the toxic; closes the connections that it holds."""
        stack.proxy.remove_toxic(self._name)

    def healed(self, stack: Stack) -> bool:
        """The proxy does not list it."""
        return self._name not in stack.proxy.toxics()
