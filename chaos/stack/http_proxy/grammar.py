"""List all texts that a small GBNF grammar allows, to choose another valid answer.

Supports literals, `|`, groups and names of other rules. Repetition and character classes are
refused, because they allow too many texts.
"""

import json
import re
from itertools import product

TEXTS_MAX = 256
_GRAMMAR_CHARS_MAX = 65_536
_DEPTH_MAX = 32
_RULE = re.compile(r"([A-Za-z][\w-]*)\s*::=")
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z][\w-]*|[|()])')


class NotListable(ValueError):
    """The grammar allows too many texts, or has unsupported syntax."""


def allowed_texts(grammar: str) -> list[str]:
    """Every text the rule `root` allows, in the grammar's order. Raises `NotListable`."""
    if len(grammar) > _GRAMMAR_CHARS_MAX:
        raise NotListable("the grammar is too long")
    parts = _RULE.split(re.sub(r"(?m)^\s*#.*$", "", grammar))
    rules = dict(zip(parts[1::2], parts[2::2], strict=True))
    return _Reader(rules).rule("root", 0)


def another_answer(grammar: str, given: str, *, wanted: str = "") -> str:
    """An allowed text that is not `given`: `wanted` if it is one, else the first.

    Raises `NotListable` when there is none.
    """
    others = [text for text in allowed_texts(grammar) if text != given]
    if not others:
        raise NotListable("the grammar allows no other answer")
    return wanted if wanted in others else others[0]


class _Reader:
    """A recursive-descent parser with limits of depth and of the number of texts."""

    def __init__(self, rules: dict[str, str]) -> None:
        self._rules = rules

    def rule(self, name: str, depth: int) -> list[str]:
        if depth > _DEPTH_MAX or name not in self._rules:
            raise NotListable(f"rule {name!r} is missing, or refers to itself")
        tokens = _tokens(self._rules[name])
        texts, rest = self._choice(tokens, depth)
        if rest:
            raise NotListable(f"{rest[0]!r} is not understood")
        return texts

    def _choice(self, tokens: list[str], depth: int) -> tuple[list[str], list[str]]:
        texts, rest = self._sequence(tokens, depth)
        while rest and rest[0] == "|":
            more, rest = self._sequence(rest[1:], depth)
            texts = [*texts, *more]
            if len(texts) > TEXTS_MAX:
                raise NotListable(f"more than {TEXTS_MAX} texts")
        return texts, rest

    def _sequence(self, tokens: list[str], depth: int) -> tuple[list[str], list[str]]:
        texts = [""]
        while tokens and tokens[0] not in ("|", ")"):
            head, tokens = tokens[0], tokens[1:]
            if head == "(":
                if depth > _DEPTH_MAX:
                    raise NotListable("groups are nested too deep")
                allowed, tokens = self._choice(tokens, depth + 1)
                if not tokens or tokens[0] != ")":
                    raise NotListable("a group is not closed")
                tokens = tokens[1:]
            elif head.startswith('"'):
                allowed = [_literal(head)]
            else:
                allowed = self.rule(head, depth + 1)
            if len(texts) * len(allowed) > TEXTS_MAX:
                raise NotListable(f"more than {TEXTS_MAX} texts")
            texts = ["".join(pair) for pair in product(texts, allowed)]
        return texts, tokens


def _tokens(body: str) -> list[str]:
    tokens, offset, body = [], 0, body.strip()
    while offset < len(body):
        match = _TOKEN.match(body, offset)
        if match is None:
            raise NotListable(f"{body[offset : offset + 20]!r} is not understood")
        tokens.append(match[1])
        offset = match.end()
    return tokens


def _literal(token: str) -> str:
    try:
        return str(json.loads(token))  # GBNF's escapes that matter here are those of JSON
    except ValueError as error:
        raise NotListable(f"literal {token} is not understood") from error
