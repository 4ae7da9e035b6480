"""Rules of the wire proxy: the answers to break, how, and how often that was done.

    {"id": "f003", "kind": "truncate", "params": {"at_byte": 40}, "match": {"every": 2}}

A rule counts the requests on its path since it was set, so the answers that it strikes depend only
on the order of requests. Knows nothing of connections.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

RULES_MAX = 64
_COUNT_MAX = 1_000_000_000

Kind = Literal["status", "delay", "stall", "truncate", "prose", "wrong_decision"]
Count = Annotated[int, Meta(ge=0, le=_COUNT_MAX)]
OneOrMore = Annotated[int, Meta(ge=1, le=_COUNT_MAX)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]

_TAKES: dict[Kind, frozenset[str]] = {
    "status": frozenset({"status", "retry_after_s"}),
    "delay": frozenset({"delay_s"}),
    "stall": frozenset({"at_byte", "at_token", "stall_s"}),
    "truncate": frozenset({"at_byte", "at_token", "length"}),
    "prose": frozenset({"content"}),
    "wrong_decision": frozenset({"content"}),
}
_NEEDS: dict[Kind, str] = {"status": "status", "delay": "delay_s"}


class BadRule(ValueError):
    """The rule is not valid; the message says why."""


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a rule. Those that its kind does not take have their defaults.

    `at_byte`: the number of bytes of the body before the fault. `at_token`: the number of events of
    a streamed answer before it; other answers are then left alone. `stall_s` 0: until the rule is
    removed. `content`: the new content, for a wrong decision only if the request's grammar allows
    it; empty: the proxy chooses one.
    """

    status: Literal[0, 400, 429, 500, 503] = 0
    retry_after_s: Annotated[int, Meta(ge=0, le=3600)] = 1
    delay_s: Seconds = 0.0
    at_byte: Count = 0
    at_token: Count | None = None
    stall_s: Seconds = 0.0
    length: Literal["original", "rewritten"] = "original"
    content: Annotated[str, Meta(max_length=65_536)] = ""


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requests to strike: by path (`*`: any), and only the `nth` (0: unused) or `every` nth."""

    path: Annotated[str, Meta(pattern=r"^(\*$|/)")] = "/completion"
    nth: OneOrMore = 0
    every: OneOrMore = 1

    def due(self, number: int) -> bool:
        """True if the request `number` (from 1, since the rule was set) is struck."""
        return number == self.nth if self.nth else number % self.every == 0


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """A rule as it is sent to the control API."""

    id: Annotated[str, Meta(min_length=1, max_length=128, pattern="^[^/]*$")]
    kind: Kind
    params: Params = Params()
    match: Match = Match()


@dataclass
class Rule:
    """One rule in force, with its counters. `released` is set when it is removed."""

    id: str
    kind: Kind
    params: Params
    match: Match
    seen: int = 0
    struck: int = 0
    last_struck_epoch: float | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def strike(self) -> None:
        self.struck += 1
        self.last_struck_epoch = time.time()

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "params": msgspec.to_builtins(self.params),
            "match": msgspec.to_builtins(self.match),
            "seen": self.seen,
            "struck": self.struck,
            "last_struck_epoch": self.last_struck_epoch,
        }


class RuleBook:
    """The rules in force, in the order in which they were set. For one event loop."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def put(self, raw: Any) -> Rule:
        """Set a rule; it replaces one with the same id, whose held answers are released.

        Raises `BadRule`.
        """
        rule = parse_rule(raw)
        if rule.id not in self._rules and len(self._rules) >= RULES_MAX:
            raise BadRule(f"there are {RULES_MAX} rules already")
        self.remove(rule.id)
        self._rules[rule.id] = rule
        return rule

    def remove(self, rule_id: str) -> bool:
        """Remove a rule and release the answers that it holds; False if there was none."""
        rule = self._rules.pop(rule_id, None)
        if rule is not None:
            rule.released.set()
        return rule is not None

    def clear(self) -> None:
        for rule_id in list(self._rules):
            self.remove(rule_id)

    def due(self, path: str) -> Rule | None:
        """Count a request on `path` for every rule; returns the first rule that strikes it."""
        chosen = None
        for rule in self._rules.values():
            if rule.match.path not in ("*", path):
                continue
            rule.seen += 1
            if chosen is None and rule.match.due(rule.seen):
                chosen = rule
        return chosen

    def to_json(self) -> list[dict[str, Any]]:
        return [rule.to_json() for rule in self._rules.values()]


def parse_rule(raw: Any) -> Rule:
    """A rule from decoded JSON. Raises `BadRule` that names the key."""
    try:
        rule = msgspec.convert(raw, _Written)
    except msgspec.ValidationError as error:
        raise BadRule(str(error)) from error
    params, match = raw.get("params", {}), raw.get("match", {})
    for name in params.keys() - _TAKES[rule.kind]:
        raise BadRule(f"params.{name}: {rule.kind} takes {', '.join(sorted(_TAKES[rule.kind]))}")
    needed = _NEEDS.get(rule.kind)
    if needed is not None and needed not in params:
        raise BadRule(f"params.{needed}: {rule.kind} needs it")
    if "at_byte" in params and params.get("at_token") is not None:
        raise BadRule("params: at_byte and at_token exclude each other")
    if "nth" in match and "every" in match:
        raise BadRule("match: nth and every exclude each other")
    return Rule(rule.id, rule.kind, rule.params, rule.match)
