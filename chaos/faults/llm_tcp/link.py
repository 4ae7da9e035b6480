"""What the kinds on the TCP link share: a break in the proxy, and the proof by comparison.

Each look is three exchanges with the real server: directly, through the proxy, directly again.
The effect is proven when both direct ones are whole and quick and the one through the proxy shows
exactly what the kind does. The Watcher stops the LLM server by design; while it is down nothing
can be compared, so looks are repeated until the deadline.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import unknown_name
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.exchange import Exchange, exchange
from chaos.faults.params import FaultParams, text
from chaos.record.recovery_paths import LLM_CLIENT
from chaos.stack.base import Link, Stack

HEALTH, PROPS = "/health", "/props"  # a short answer, and one of some kilobytes
DIRECT_LIMIT_S = 1.0
_NOT_KNOWN = 400
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Look:
    """One comparison of an exchange through the proxy with direct ones before and after it."""

    before: Exchange
    through: Exchange
    after: Exchange

    @property
    def valid(self) -> bool:
        """True if the server itself answered well, so that the comparison concerns the link."""
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


class LinkParams(FaultParams):
    """What every kind has; `link`: which connection it breaks."""

    link: Annotated[
        str | None, text("the connection, a name in the target's links (else the one to the LLM)")
    ] = None


class LinkFault(Fault):
    """A kind breaks and heals the link, and says what an exchange through it then shows."""

    group = "llm_tcp"
    affects_llm = True
    compatible_groups = frozenset({"disk"})
    reconnection_path = LLM_CLIENT
    always_cuts = False
    Params: ClassVar[type[FaultParams]] = LinkParams
    params: LinkParams
    looks_min = 1  # in a row, for an effect that a busy machine could imitate once

    def available_in(self, planned: PlannedStack) -> str | None:
        """Raises `UnknownName` with the links that the target has, if it has no such link."""
        name, links = self.params.link, planned.target.links
        if name is None or (name in links and links[name].probe):
            return super().available_in(planned)
        if name in links:
            return f"links.{name} of the target has no probe, by which its effect could be proven"
        raise unknown_name("link of the target", name, links, place="link")

    def available(self, stack: Stack) -> str | None:
        return None if stack.proxy.version() else "the proxy does not answer"

    def link(self, stack: Stack) -> Link:
        """The link that it breaks."""
        if self.params.link is not None:
            return stack.links[self.params.link]
        return Link(stack.proxied_llm, stack.direct_llm, stack.proxy, stack.target.llm.ready_path)

    def traits(self) -> dict[str, Any]:
        """A break of another link excuses nothing of the LLM."""
        if self.params.link is None:
            return super().traits()
        return {**super().traits(), "affects_llm": False, "link": self.params.link}

    def settled(self, stack: Stack) -> str | None:
        """A server that is not llama.cpp's may have no long answer."""
        if self.path() != PROPS or self.params.link is not None:
            return None
        status = exchange(stack.direct_llm, PROPS, DIRECT_LIMIT_S).status
        if status is None or status < _NOT_KNOWN:
            return None
        return f"the LLM server has no {PROPS}, whose long answer shows the effect"

    @abstractmethod
    def shows(self, look: Look) -> bool:
        """True if the exchange through the proxy shows what this kind does."""

    def details(self, look: Look) -> dict[str, Any]:
        """More measurements of the kind, for the evidence."""
        return {}

    def cuts(self) -> bool:
        """True if no usable answer can come through."""
        return self.always_cuts

    def path(self) -> str:
        """The path of the requests; HEALTH stands for the link's probe."""
        return HEALTH

    def look_s(self) -> float:
        """How long the exchange through the proxy may take, in seconds."""
        return DIRECT_LIMIT_S

    @abstractmethod
    def undone(self, stack: Stack) -> bool:
        """True if the proxy itself says that the break is undone."""

    def look(self, stack: Stack) -> Look:
        """Compare once. While the server does not answer directly, the proxy is not asked."""
        link = self.link(stack)
        path = PROPS if self.path() == PROPS and self.params.link is None else link.probe
        before = exchange(link.direct, path, DIRECT_LIMIT_S)
        if not before.ok:
            return Look(before, Exchange("refused", None, (), 0.0), before)
        through = exchange(link.proxied, path, self.look_s())
        after = exchange(link.direct, path, DIRECT_LIMIT_S)
        return Look(before, through, after)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        shown_in_a_row = 0

        def look(measured: dict[str, Any]) -> bool:
            nonlocal shown_in_a_row
            compared = self.look(stack)
            if not compared.valid:
                return False
            measured |= {**compared.measured(), **self.details(compared)}
            shown_in_a_row = shown_in_a_row + 1 if self.shows(compared) else 0
            if shown_in_a_row < self.looks_min:
                return False
            measured["cuts_llm"] = self.cuts() and self.params.link is None
            return True

        # A look must end while the fault still holds.
        return probe(look, deadline, _PAUSE_S, {"attempts": 0}, look_s=self.look_s())

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            measured["undone"] = self.undone(stack)
            compared = self.look(stack)
            if not compared.valid:
                return False
            measured |= {**compared.measured(), **self.details(compared)}
            return bool(measured["undone"]) and compared.through.ok and not self.shows(compared)

        return probe(look, deadline, _PAUSE_S, {"attempts": 0})


class ToxicFault(LinkFault):
    """A kind that is one toxic of the proxy (Toxiproxy's documentation, "Toxics")."""

    toxic: ClassVar[str]
    stream = "downstream"

    @property
    def _name(self) -> str:
        return f"chaos_{self.fault_id}"

    @abstractmethod
    def attributes(self) -> dict[str, int]:
        """The toxic's settings, in the proxy's units."""

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """The toxic. The proxy belongs to the run and ends with it."""
        return {"toxic": self._name, "proxy": str(self.link(stack).proxied)}

    def inject(self, stack: Stack) -> None:
        self.link(stack).proxy.add_toxic(
            self._name, self.toxic, self.attributes(), stream=self.stream
        )

    def recover(self, stack: Stack) -> None:
        self.link(stack).proxy.remove_toxic(self._name)

    def undone(self, stack: Stack) -> bool:
        return self._name not in self.link(stack).proxy.toxics()
