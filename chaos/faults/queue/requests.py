"""Requests that faults put into the queue: good ones by the target's template, and their parts."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos.base.files import json_object
from chaos.plan.request_template import Wanted, body_of, template_of
from chaos.record.target import Queue

_KIND = "selfplay"


def good(
    queue: Queue, name: str, source: str, sequence: int, *, note: str = "", ahead_s: float = 0.0
) -> dict[str, Any]:
    """A request that a Watcher must work off; `ahead_s` moves its time stamp into the future.

    Raises `UsageError` when the target has no template.
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


def numbered(queue: Queue) -> bool:
    """True if requests carry a number of their producer, so that a double one can be told."""
    return '"{sequence}"' in json.dumps(template_of(queue, _KIND))


def identity(queue: Queue, content: bytes) -> tuple[Any, ...]:
    """Source and number as they stand in a request; empty for what is none."""
    entry = json_object(content)
    return tuple(_values(template_of(queue, _KIND), entry)) if entry else ()


def _values(template: Any, entry: Any) -> list[Any]:
    if isinstance(template, dict) and isinstance(entry, dict):
        return [v for key in template for v in _values(template[key], entry.get(key))]
    return [entry] if template in ("{source}", "{sequence}") else []


def encoded(body: Any) -> bytes:
    """As a producer writes it."""
    return json.dumps(body, indent=2).encode()
