"""Rules of the wire proxy: what is done to which answer, and how often it was done.

    {"id": "f003", "kind": "truncate", "params": {"at_byte": 40}, "match": {"every": 2}}

A rule counts the requests on its path since it was set, so where it strikes depends on nothing
but the order of requests. Knows nothing of connections.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

RULES_MAX = 64
ID_CHARS_MAX = 128
CONTENT_CHARS_MAX = 65_536
SECONDS_MAX = 86_400.0
COUNT_MAX = 1_000_000_000

Kind = Literal["status", "delay", "stall", "truncate", "prose", "wrong_decision"]
Length = Literal["original", "rewritten"]
STATUSES = (400, 429, 500, 503)

# What each kind needs, and what it may be given besides.
_NEEDS: dict[str, frozenset[str]] = {
    "status": frozenset({"status"}),
    "delay": frozenset({"delay_s"}),
    "stall": frozenset(),
    "truncate": frozenset(),
    "prose": frozenset(),
    "wrong_decision": frozenset(),
}
_TAKES: dict[str, frozenset[str]] = {
    "status": frozenset({"status", "retry_after_s"}),
    "delay": frozenset({"delay_s"}),
    "stall": frozenset({"at_byte", "at_token", "stall_s"}),
    "truncate": frozenset({"at_byte", "at_token", "length"}),
    "prose": frozenset({"content"}),
    "wrong_decision": frozenset({"content"}),
}


class BadRule(ValueError):
    """The rule cannot be taken; the message says what is wrong with it."""


@dataclass(frozen=True)
class Params:
    """The parameters of a rule's kind; what a kind does not take stays at its default.

    `at_byte`: this many bytes of the body pass; `at_token`: this many events of a streamed
    answer (an answer that is not streamed is then left alone). `stall_s` 0: until the rule is
    removed. `content`: of a wrong decision only where the request's grammar allows it; empty: the
    kind chooses one itself.
    """

    status: int = 0
    retry_after_s: int = 1
    delay_s: float = 0.0
    at_byte: int = 0
    at_token: int | None = None
    stall_s: float = 0.0
    length: Length = "original"
    content: str = ""


@dataclass(frozen=True)
class Match:
    """Which requests: by path (`*`: any), and the `nth` of them (0: no such limit) or `every`."""

    path: str = "/completion"
    nth: int = 0
    every: int = 1

    def due(self, number: int) -> bool:
        """Whether the request `number` (from 1, since the rule was set) is struck."""
        return number == self.nth if self.nth else number % self.every == 0


@dataclass
class Rule:
    """One rule in force, with its counters. `released` is set once it is in force no more."""

    id: str
    kind: Kind
    params: Params
    match: Match
    seen: int = 0
    struck: int = 0
    last_struck_epoch: float | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def strike(self) -> None:
        """Count one answer that this rule has changed."""
        self.struck += 1
        self.last_struck_epoch = time.time()

    def told(self) -> dict[str, Any]:
        """As the control API tells it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "params": {f.name: getattr(self.params, f.name) for f in fields(Params)},
            "match": {f.name: getattr(self.match, f.name) for f in fields(Match)},
            "seen": self.seen,
            "struck": self.struck,
            "last_struck_epoch": self.last_struck_epoch,
        }


class RuleBook:
    """The rules in force, in the order in which they were set. For one event loop."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def put(self, raw: Any) -> Rule:
        """Set a rule; one with the same id is replaced and releases what it holds.

        Raises `BadRule`.
        """
        rule = parse_rule(raw)
        if rule.id not in self._rules and len(self._rules) >= RULES_MAX:
            raise BadRule(f"there are {RULES_MAX} rules already")
        self.remove(rule.id)
        self._rules[rule.id] = rule
        return rule

    def remove(self, rule_id: str) -> bool:
        """Take a rule away and release what it holds; False when there was none."""
        rule = self._rules.pop(rule_id, None)
        if rule is not None:
            rule.released.set()
        return rule is not None

    def clear(self) -> None:
        """Take all rules away."""
        for rule_id in list(self._rules):
            self.remove(rule_id)

    def due(self, path: str) -> Rule | None:
        """Count a request on `path` for every rule; the first rule that is due for it."""
        chosen = None
        for rule in self._rules.values():
            if rule.match.path not in ("*", path):
                continue
            rule.seen += 1
            if chosen is None and rule.match.due(rule.seen):
                chosen = rule
        return chosen

    def told(self) -> list[dict[str, Any]]:
        """All rules with their counters."""
        return [rule.told() for rule in self._rules.values()]


def parse_rule(raw: Any) -> Rule:
    """A rule from decoded JSON. Raises `BadRule` that names the key."""
    given = _mapping(raw, "the rule", {"id", "kind", "params", "match"})
    rule_id, kind = given.get("id"), given.get("kind")
    if not isinstance(rule_id, str) or not 0 < len(rule_id) <= ID_CHARS_MAX or "/" in rule_id:
        raise BadRule(f"id: a text of 1 to {ID_CHARS_MAX} characters without '/' is needed")
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise BadRule(f"kind: one of {', '.join(get_args(Kind))} is needed, not {kind!r}")
    params = _mapping(given.get("params", {}), f"params of {kind}", _TAKES[kind])
    for name in sorted(_NEEDS[kind] - params.keys()):
        raise BadRule(f"params.{name}: {kind} needs it")
    match = _mapping(given.get("match", {}), "match", {"path", "nth", "every"})
    return Rule(rule_id, cast(Kind, kind), _params(params), _match(match))


def _mapping(raw: Any, what: str, known: set[str] | frozenset[str]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise BadRule(f"{what}: a JSON object is needed")
    for name in raw:
        if name not in known:
            raise BadRule(f"{what}: unknown key {name!r}; known: {', '.join(sorted(known))}")
    return raw


def _params(raw: dict[str, Any]) -> Params:
    status = _whole(raw, "status", 0, 0, 599)
    if "status" in raw and status not in STATUSES:
        raise BadRule(f"params.status: one of {STATUSES} is needed, not {status}")
    length = raw.get("length", "original")
    if length not in get_args(Length):
        raise BadRule(f"params.length: original or rewritten is needed, not {length!r}")
    content = raw.get("content", "")
    if not isinstance(content, str) or len(content) > CONTENT_CHARS_MAX:
        raise BadRule(f"params.content: a text of at most {CONTENT_CHARS_MAX} characters is needed")
    if "at_byte" in raw and raw.get("at_token") is not None:
        raise BadRule("params: at_byte and at_token exclude each other")
    at_token = raw.get("at_token")
    return Params(
        status=status,
        retry_after_s=_whole(raw, "retry_after_s", 1, 0, 3600),
        delay_s=_seconds(raw, "delay_s"),
        at_byte=_whole(raw, "at_byte", 0, 0, COUNT_MAX),
        at_token=None if at_token is None else _whole(raw, "at_token", 0, 0, COUNT_MAX),
        stall_s=_seconds(raw, "stall_s"),
        length=length,
        content=content,
    )


def _match(raw: dict[str, Any]) -> Match:
    path = raw.get("path", "/completion")
    if not isinstance(path, str) or (path != "*" and not path.startswith("/")):
        raise BadRule("match.path: a path from '/' on, or '*', is needed")
    if "nth" in raw and "every" in raw:
        raise BadRule("match: nth and every exclude each other")
    return Match(path, _whole(raw, "nth", 0, 1, COUNT_MAX), _whole(raw, "every", 1, 1, COUNT_MAX))


def _whole(raw: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    if name not in raw:
        return default
    value = raw[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadRule(f"{name}: a whole number from {low} to {high} is needed, not {value!r}")
    return value


def _seconds(raw: dict[str, Any], name: str) -> float:
    value = raw.get(name, 0.0)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= SECONDS_MAX:
        raise BadRule(f"{name}: seconds from 0 to {SECONDS_MAX:g} are needed, not {value!r}")
    return float(value)
