"""Rules that change watched calls: a call fails with an error, waits, or ends its process.

A rule belongs to the connection that brought it (door.py), and goes when that connection closes.
Knows neither the kernel's interface nor how a call is answered.
"""

from __future__ import annotations

import errno
import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from calls import CALLS
from seccomp import Notice

_NAMES = frozenset(call.name for call in CALLS) - {"exit"}  # a process must be able to end
_ACTIONS = ("fail", "delay", "kill")


class BadRule(ValueError):
    """The rule cannot be used; the message says why."""


@dataclass
class Rule:
    """What happens to the matching calls of the processes of `service`.

    A call matches if its path, its new path or its address fits the glob `path` (`*` also fits
    `/`), and if it is of the process `pid`, unless that is 0. Each `nth` matching call is changed;
    where `nth` is 0, a share `rate` of them, by a random sequence that `seed` determines. `times`
    limits how many are changed; 0 is no limit. `kill` acts once: on the process that makes the
    call, or, with `whole`, on all processes of the service. `seen` and `struck` count matching and
    changed calls.
    """

    id: str
    service: str
    call: str
    action: Literal["fail", "delay", "kill"]
    path: str = "*"
    error: str = ""
    delay_ms: float = 0.0
    nth: int = 1
    rate: float = 0.0
    seed: str = ""
    pid: int = 0
    times: int = 0
    whole: bool = False
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.call not in _NAMES:
            raise BadRule(f"unknown call {self.call!r}; known: {', '.join(sorted(_NAMES))}")
        if self.action not in _ACTIONS:
            raise BadRule(f"unknown action {self.action!r}; known: {', '.join(_ACTIONS)}")
        if self.action == "fail" and self.error not in errno.errorcode.values():
            raise BadRule(f"unknown error {self.error!r}")
        self.path, self.nth, self.pid = str(self.path), int(self.nth), int(self.pid)
        self.times, self.whole = int(self.times), bool(self.whole)
        self.rate, self.delay_ms = float(self.rate), float(self.delay_ms)
        self._random = random.Random(self.seed)

    @property
    def code(self) -> int:
        """`error` as the number that the call returns (errno(3))."""
        return int(getattr(errno, self.error))

    def strikes(self, service: str, call: str, pid: int, facts: dict[str, Any]) -> bool:
        """Count the call if it matches; True if it is to be changed."""
        if (service, call) != (self.service, self.call) or self.pid not in (0, pid):
            return False
        names = [facts[key] for key in ("path", "to", "address") if key in facts]
        if not any(fnmatchcase(name, self.path) for name in names or [""]):
            return False
        self.seen += 1
        if self.action == "kill":
            return self.struck == 0 and self.seen >= self.nth
        if self.times and self.struck >= self.times:
            return False
        if self.nth:
            return self.seen % self.nth == 0
        return self._random.random() < self.rate

    def note(self) -> dict[str, Any]:
        """What the record says of a call that it makes fail, or whose process it ends."""
        changed = {"injected": self.error} if self.action == "fail" else {"crashed": True}
        return {"rule": self.id, **changed}


class Rules:
    """The rules in force, by the connection that brought them."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}

    def put(self, link: int, fields: dict[str, Any]) -> None:
        """Set the one rule of that connection. Raises `BadRule`."""
        if link in self._rules:
            raise BadRule("this connection has brought a rule already")
        try:
            self._rules[link] = Rule(**fields)
        except TypeError as error:
            raise BadRule(str(error)) from error

    def drop(self, link: int) -> Rule | None:
        """Remove the rule of that connection; None if it brought none."""
        return self._rules.pop(link, None)

    def striking(self, service: str, call: str, pid: int, facts: dict[str, Any]) -> Rule | None:
        """The first rule that changes this call; all that match count it."""
        struck = [r for r in self._rules.values() if r.strikes(service, call, pid, facts)]
        return struck[0] if struck else None

    def states(self) -> dict[str, list[int]]:
        """[calls seen, calls changed] of each rule, by its id."""
        return {rule.id: [rule.seen, rule.struck] for rule in self._rules.values()}


@dataclass(order=True)
class Held:
    """A call that waits until `due_s` (monotonic) because of `rule`."""

    due_s: float
    since_s: float
    listener: int = field(compare=False)
    notice: Notice = field(compare=False)
    rule: Rule = field(compare=False)


class HeldCalls:
    """The calls that are held back, the first one that is due first."""

    def __init__(self) -> None:
        self._heap: list[Held] = []

    def hold(self, listener: int, notice: Notice, rule: Rule, now_s: float) -> None:
        """Hold a call back as long as `rule` says."""
        due_s = now_s + rule.delay_ms / 1000
        heapq.heappush(self._heap, Held(due_s, now_s, listener, notice, rule))

    def left_s(self, now_s: float, most_s: float) -> float:
        """Time until the first one is due, at most `most_s`."""
        return max(0.0, min(self._heap[0].due_s - now_s, most_s)) if self._heap else most_s

    def due(self, now_s: float) -> Iterable[Held]:
        """Take out each call whose time has come."""
        while self._heap and self._heap[0].due_s <= now_s:
            yield heapq.heappop(self._heap)

    def release(self, rule: Rule) -> None:
        """Make the calls that `rule` holds back due at once."""
        for held in self._heap:
            if held.rule is rule:
                held.due_s = held.since_s
        heapq.heapify(self._heap)

    def forget(self, listener: int) -> None:
        """Drop the calls of a listener whose processes are gone."""
        self._heap = [held for held in self._heap if held.listener != listener]
        heapq.heapify(self._heap)
