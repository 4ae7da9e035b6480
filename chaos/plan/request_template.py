"""Requests by the target's templates: what is asked for, and which fields that becomes. Pure.

What is asked for stands in a `Wanted`; which fields that becomes stands in the target's template
for its type, so that a Watcher with other names and another nesting gets requests it understands.
"""

import string
from dataclasses import dataclass
from typing import Any

from chaos.base.errors import UsageError, unknown_name
from chaos.record.target import Queue

PROBE_EPISODES = 1  # the least work: a probe shall tell, not load


@dataclass(frozen=True)
class Wanted:
    """One request. `sequence` None: its producer gives none, and the key is left out."""

    name: str  # file name
    kind: str  # the plan's word: selfplay or learning_loop
    source: str
    reason: str
    timestamp: str
    sequence: int | None = None
    episodes: int = PROBE_EPISODES
    scope: str = ""

    def values(self) -> dict[str, Any]:
        """What the placeholders of a template stand for."""
        return {
            "id": self.name,
            "type": self.kind,
            "source": self.source,
            "reason": self.reason,
            "timestamp": self.timestamp,
            "now": self.timestamp,
            "sequence": self.sequence,
            "episodes": self.episodes,
            "scope": self.scope,
        }


_PLACEHOLDERS = frozenset(Wanted("", "", "", "", "").values())


def template_of(queue: Queue, kind: str) -> dict[str, Any]:
    """The template for `kind`: its own, or the one for any type. `UsageError`: there is none."""
    place = f"target, queue.request_templates.{kind}"
    template = queue.request_templates.get(kind) or queue.request_template
    if not template:
        raise UsageError(
            f"the target has no template for {kind} requests",
            place=place,
            next_step=f"add queue.request_templates.{kind}; reference.yaml shows one",
        )
    try:
        names = _names_in(template)
    except ValueError as error:
        raise UsageError(
            f"a text of the template cannot be filled: {error}",
            place=place,
            next_step="write {{ and }} for braces",
        ) from error
    for name in names:
        if name not in _PLACEHOLDERS:
            raise unknown_name("placeholder", name, _PLACEHOLDERS, place=place)
    return template


def body_of(template: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The request's content: `template` with its placeholders filled."""
    filled = _filled(template, wanted.values())
    assert isinstance(filled, dict)
    return filled


def _names_in(template: Any) -> list[str]:
    if isinstance(template, dict):
        return [name for value in template.values() for name in _names_in(value)]
    if isinstance(template, list):
        return [name for value in template for name in _names_in(value)]
    if not isinstance(template, str):
        return []
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _filled(template: Any, values: dict[str, Any]) -> Any:
    """Filled; a value that is one placeholder keeps its type, and without a value its key goes."""
    if isinstance(template, dict):
        filled = {key: _filled(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if template.startswith("{") and template.endswith("}") and template[1:-1] in values:
        return values[template[1:-1]]
    return template.format_map(values)
