"""The parameters of the wire faults: which requests are struck, and after how much of an answer."""

from collections.abc import Iterable
from itertools import count
from typing import Annotated, Any, Literal

from chaos.faults.params import FaultParams, duration, number, text
from chaos.stack.llm_api import PATHS

_DEFAULT_BYTES = 40


class WireParams(FaultParams):
    path: Annotated[
        Literal["any", "/completion", "/v1/completions", "/v1/chat/completions"],
        text("strike requests on this path, and its other names"),
    ] = "any"
    every: Annotated[int, number("strike every n-th completion (1: all of them)", 1, 1000)] = 1
    burst: Annotated[int, number("with every: strike so many in a row", 1, 1000)] = 1
    nth: Annotated[int | None, number("strike only the n-th completion", 1, 1000)] = None
    first: Annotated[int | None, number("strike the first n, let later ones pass", 1, 1000)] = None
    active: Annotated[
        float | None, duration("strike for so long of every cycle, from its begin", 0.1, 3600)
    ] = None
    cycle: Annotated[float | None, duration("length of a cycle, with active", 0.2, 3600)] = None

    def problem(self) -> str:
        ways = {"every": self.every > 1, "nth": self.nth, "first": self.first, "cycle": self.cycle}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            return f"{' and '.join(given)} exclude each other"
        if self.burst > 1 and self.burst >= self.every:
            return "burst needs an every that is greater"
        if (self.active is None) != (self.cycle is None):
            return "active and cycle need each other"
        if self.active and self.cycle and self.active >= self.cycle:
            return "active must be shorter than cycle"
        return ""

    def paths(self) -> tuple[str, ...]:
        """The paths on which requests are struck."""
        return PATHS if self.path == "any" else (self.path,)

    def match(self) -> dict[str, Any]:
        """The requests that the rule strikes (`chaos.stack.http_proxy.rules.Match`)."""
        path = "completions" if self.path == "any" else self.path
        if self.nth:
            return {"path": path, "nth": self.nth}
        if self.first:
            return {"path": path, "first": self.first}
        if self.by_time:
            return {"path": path, "active_s": self.active, "cycle_s": self.cycle}
        return {"path": path, "every": self.every, "burst": self.burst}

    @property
    def by_time(self) -> bool:
        """True if the moment of a request decides, and not its number."""
        return self.cycle is not None

    def strikes_all(self) -> bool:
        """True if every request on the paths is struck."""
        return self.every == 1 and not (self.nth or self.first or self.by_time)

    def probe_numbers(self) -> Iterable[int]:
        """Numbers of requests of which one is struck and, unless all are, another one spared."""
        if self.by_time:
            return count(1)
        if self.nth:
            return (self.nth, self.nth + 1)
        if self.first:
            return (1, self.first, self.first + 1)
        return (self.every, self.every + 1) if self.every > 1 else (1,)


class PlaceParams(WireParams):
    after_bytes: Annotated[
        int | None,
        number("bytes of the answer that pass first (40 without after_tokens)", 0, 1000),
    ] = None
    after_tokens: Annotated[
        int | None,
        number("tokens of a streamed answer that pass first (no other answer is struck)", 0, 200),
    ] = None
    mid_event: Annotated[
        Literal["no", "yes"], text("with after_tokens: not there, but within the next data line")
    ] = "no"

    def problem(self) -> str:
        if self.after_bytes is not None and self.after_tokens is not None:
            return "after_bytes and after_tokens exclude each other"
        if self.mid_event == "yes" and self.after_tokens is None:
            return "mid_event needs after_tokens"
        return super().problem()

    def place_bytes(self) -> int:
        """The bytes that pass first, where tokens do not say."""
        return _DEFAULT_BYTES if self.after_bytes is None else self.after_bytes
