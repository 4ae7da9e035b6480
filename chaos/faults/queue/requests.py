"""Good requests for the queue, by the target's template, and the decisions on them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chaos.base.files import file_tail, json_object, select
from chaos.plan.request_template import Wanted, body_of, template_of
from chaos.record.record_sql import DecisionLog
from chaos.record.work import Work

_KIND = "selfplay"
_TAIL_BYTES = 4 << 20


def good(
    queue: Work, name: str, source: str, sequence: int, *, note: str = "", ahead_s: float = 0.0
) -> dict[str, Any]:
    """A request that a Watcher must process; its time stamp is `ahead_s` in the future.

    Raises `UsageError` if the target has no template.
    """
    return body_of(
        template_of(queue, _KIND),
        Wanted(
            name=name,
            kind=_KIND,
            source=source,
            reason=note or f"request beside a queue fault: {name}",
            timestamp=(datetime.now(UTC) + timedelta(seconds=ahead_s)).isoformat(),
            sequence=sequence,
        ),
    )


def numbered(queue: Work) -> bool:
    """True if requests have a number, so that duplicates can be recognized."""
    return '"{sequence}"' in json.dumps(template_of(queue, _KIND))


def identity(queue: Work, content: bytes) -> tuple[Any, ...]:
    """Source and number of a request; empty if it is no JSON object."""
    entry = json_object(content)
    return tuple(_values(template_of(queue, _KIND), entry)) if entry else ()


def _values(template: Any, entry: Any) -> list[Any]:
    if isinstance(template, dict) and isinstance(entry, dict):
        return [v for key in template for v in _values(template[key], entry.get(key))]
    return [entry] if template in ("{source}", "{sequence}") else []


def encoded(body: Any) -> bytes:
    """The JSON as a producer writes it."""
    return json.dumps(body, indent=2).encode()


@dataclass(frozen=True)
class Decided:
    """One line of the log that says that a request was dispatched."""

    id: str
    request: str  # file name
    status: str


def tail_of(path: Path) -> bytes:
    """The last 4 MiB of a file; empty if it cannot be read."""
    return file_tail(path, _TAIL_BYTES)


def dispatched(workspace: Path, log: DecisionLog, names: Iterable[str]) -> list[Decided]:
    """The decisions that dispatched these request files, in order. Ignores damaged lines."""
    wanted = set(names)
    decided = []
    for line in tail_of(workspace / log.path).splitlines():
        entry = json_object(line)
        if log.dispatch and not select(entry, log.dispatch):
            continue
        request = str(select(entry, log.request)).rpartition("/")[2]
        if request in wanted:
            named = (select(entry, log.id), request, select(entry, log.status))
            decided.append(Decided(*map(str, named)))
    return decided
