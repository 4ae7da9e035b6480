"""Make the content of requests from the target's templates. Pure.

A `Wanted` has the values. The target's template for the type of request has the fields, so each
Watcher gets requests in its own format.
"""

import string
from dataclasses import dataclass
from typing import Any

from chaos.base.errors import UsageError, unknown_name
from chaos.base.yamlfile import texts
from chaos.record.work import Work

PLAN_KINDS = ("selfplay", "learning_loop")  # what the soaks ask for, in this order
PROBE_EPISODES = 1  # the least work: a probe measures, and must not add load


@dataclass(frozen=True)
class Wanted:
    """One request. `sequence` None: the key is left out."""

    name: str  # file name
    kind: str  # selfplay or learning_loop, the types that the plan names
    source: str
    reason: str
    timestamp: str
    sequence: int | None = None
    episodes: int = PROBE_EPISODES
    scope: str = ""

    def values(self) -> dict[str, Any]:
        """The values of a template's placeholders."""
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


def template_of(work: Work, kind: str) -> dict[str, Any]:
    """The content of a request of `kind`: the target's own, else of its first (or second) kind.

    Raises `UsageError` if a file has to be written and the target does not say what is in it.
    """
    key = kind
    if kind not in work.kinds and work.kinds:
        names = list(work.kinds)
        key = names[min(PLAN_KINDS.index(kind), len(names) - 1) if kind in PLAN_KINDS else 0]
    place = f"target, work.kinds.{key}" if work.kinds else "target, work.body"
    template = work.kinds.get(key) or work.body
    if not template and work.submit.folder:
        raise UsageError(
            f"the target does not say what is in a file of {f'{key} ' if work.kinds else ''}work",
            place=place,
            next_step="add work.body, or an entry of work.kinds for each kind of work",
        )
    try:
        parts = [part for _, text in texts(template) for part in string.Formatter().parse(text)]
    except ValueError as error:
        raise UsageError(
            f"a text of the template cannot be filled: {error}",
            place=place,
            next_step="write {{ and }} for braces",
        ) from error
    for _, name, _, _ in parts:
        if name is not None and name not in _PLACEHOLDERS:
            raise unknown_name("placeholder", name, _PLACEHOLDERS, place=place)
    return template


def body_of(template: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The request's content: `template` with its placeholders filled."""
    filled = _filled(template, wanted.values())
    assert isinstance(filled, dict)
    return filled


def _filled(template: Any, values: dict[str, Any]) -> Any:
    """Fill a template. A text that is one placeholder gets the value's type; None drops the key."""
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
