"""Rules of the wire proxy: the answers to break, how, and how often that was done.

    {"id": "f003", "kind": "truncate", "params": {"after_bytes": 40}, "match": {"every": 2}}

A rule counts the daemon's requests on its paths since it was set, so the answers that it strikes
depend only on their order (or, with `cycle_s`, on the time). A probe of the harness brings its own
number, so it takes no turn of the daemon's. Knows nothing of connections.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from chaos.stack.llm_api import completion_path

RULES_MAX = 64
_COUNT_MAX = 1_000_000_000

Kind = Literal[
    "status",
    "delay",
    "stall",
    "truncate",
    "prose",
    "wrong_decision",
    "short",
    "no_end",
    "no_choices",
    "wrong_model",
    "tool_call",
]
Count = Annotated[int, Meta(ge=0, le=_COUNT_MAX)]
OneOrMore = Annotated[int, Meta(ge=1, le=_COUNT_MAX)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]

_PLACE = frozenset({"after_bytes", "after_tokens", "mid_event"})
_TAKES: dict[Kind, frozenset[str]] = {
    "status": frozenset({"status", "retry_after_s"}),
    "delay": frozenset({"delay_s"}),
    "stall": _PLACE | {"stall_s"},
    "truncate": _PLACE | {"length"},
    "prose": frozenset({"content"}),
    "wrong_decision": frozenset({"content"}),
    "short": frozenset(),
    "no_end": frozenset(),
    "no_choices": frozenset(),
    "wrong_model": frozenset({"content"}),
    "tool_call": frozenset({"defect"}),
}
# Kinds that need the request's body to make their answer.
READS_REQUEST = frozenset({"wrong_decision", "tool_call"})
_NEEDS: dict[Kind, str] = {"status": "status", "delay": "delay_s"}


class BadRule(ValueError):
    """The rule is not valid; the message says why."""


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a rule. Those that its kind does not take have their defaults.

    `after_bytes`: the number of bytes of the body before the fault. `after_tokens`: the number of
    events of a streamed answer before it; other answers are then left alone. `mid_event`: not there
    but within the next event. `stall_s` 0: until the rule is removed. `content`: the new content
    (or model), for a wrong decision only if the request's grammar allows it; empty: the proxy
    chooses one. `defect` of a tool call: arguments that are no JSON, or a tool that the request
    does not offer.
    """

    status: Literal[0, 400, 401, 429, 500, 503] = 0
    retry_after_s: Annotated[int, Meta(ge=0, le=3600)] = 1
    delay_s: Seconds = 0.0
    after_bytes: Count = 0
    after_tokens: Count | None = None
    mid_event: bool = False
    stall_s: Seconds = 0.0
    length: Literal["original", "rewritten"] = "original"
    content: Annotated[str, Meta(max_length=65_536)] = ""
    defect: Literal["arguments", "name"] = "arguments"


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requests to strike, by path and by their number or moment since the rule was set.

    `path`: one path and its other names, `completions` for all paths of completions, `*` for any.
    Of the requests there: only the `nth`, or the `first` ones (0: unused), or the last `burst` of
    each `every`, or those in the first `active_s` of each `cycle_s`.
    """

    path: Annotated[str, Meta(pattern=r"^(\*$|completions$|/)")] = "completions"
    nth: Count = 0
    first: Count = 0
    every: OneOrMore = 1
    burst: OneOrMore = 1
    active_s: Seconds = 0.0
    cycle_s: Seconds = 0.0

    def covers(self, path: str) -> bool:
        """True if requests on `path` are counted."""
        meant = completion_path(path)
        wanted = ("*", path) if meant is None else ("*", path, meant, "completions")
        return self.path in wanted

    def due(self, number: int, age_s: float) -> bool:
        """True if the request `number` (from 1), `age_s` after the rule was set, is struck."""
        if self.cycle_s:
            return age_s % self.cycle_s < self.active_s
        if self.nth:
            return number == self.nth
        if self.first:
            return number <= self.first
        return (number - 1) % self.every >= self.every - self.burst


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """A rule as it is sent to the control API."""

    id: Annotated[str, Meta(min_length=1, max_length=128, pattern="^[^/]*$")]
    kind: Kind
    params: Params = Params()
    match: Match = Match()


@dataclass
class Rule:
    """One rule in force, with its counters. `released` is set when it is removed.

    `seen`, `struck`: the daemon's requests. `missed`: those that were due, but whose answer, which
    came, had not the form that the kind can change. `probes_struck`: requests of the harness.
    """

    id: str
    kind: Kind
    params: Params
    match: Match
    seen: int = 0
    struck: int = 0
    missed: int = 0
    probes_struck: int = 0
    set_s: float = field(default_factory=time.monotonic)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def due(self, probe: int) -> bool:
        """Count a request (`probe`: its number, if the harness made it); true if it is struck."""
        if not probe:
            self.seen += 1
        return self.match.due(probe or self.seen, time.monotonic() - self.set_s)

    def strike(self, probe: int) -> None:
        """Count an answer that was changed."""
        if probe:
            self.probes_struck += 1
        else:
            self.struck += 1

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "params": msgspec.to_builtins(self.params),
            "match": msgspec.to_builtins(self.match),
            "seen": self.seen,
            "struck": self.struck,
            "missed": self.missed,
            "probes_struck": self.probes_struck,
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

    def due(self, path: str, probe: int = 0) -> Rule | None:
        """Count a request on `path` for every rule; returns the first rule that strikes it.

        `probe`: its number, if it is a probe of the harness.
        """
        covering = [rule for rule in self._rules.values() if rule.match.covers(path)]
        return next(iter([rule for rule in covering if rule.due(probe)]), None)

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
    problem = _place_problem(params) or _match_problem(match)
    if problem:
        raise BadRule(problem)
    return Rule(rule.id, rule.kind, rule.params, rule.match)


def _place_problem(params: dict[str, Any]) -> str:
    by_token = params.get("after_tokens") is not None
    if "after_bytes" in params and by_token:
        return "params: after_bytes and after_tokens exclude each other"
    if params.get("mid_event") and not by_token:
        return "params: mid_event needs after_tokens"
    return ""


def _match_problem(match: dict[str, Any]) -> str:
    ways = [name for name in ("nth", "first", "every", "cycle_s") if name in match]
    if len(ways) > 1:
        return f"match: {' and '.join(ways)} exclude each other"
    if match.get("burst", 1) > match.get("every", 1):
        return "match: burst is at most every"
    if ("active_s" in match) != ("cycle_s" in match):
        return "match: active_s and cycle_s need each other"
    return ""
