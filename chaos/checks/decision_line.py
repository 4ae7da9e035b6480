"""The usual line of a decision log: only what the target selects is made into objects.

Knows the selectors of the target, and neither columns nor checks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from chaos.record.target import DecisionLog

_Moment = Annotated[datetime, msgspec.Meta(tz=True)] | None


class UsualLine:
    """The usual line: a JSON object with the selected fields, times as RFC 3339 with a zone.

    `decode` (of one line) and `decode_lines` (of many) make objects of the selected fields alone
    and refuse any other form; `names` maps our words to the names of the fields in those objects.
    """

    def __init__(self, log: DecisionLog) -> None:
        call, self.call_names = _struct(
            {"started": (log.call.started, _Moment), "ended": (log.call.ended, _Moment)}
            | {"outcome": (log.call.outcome, Any)}
            if log.call is not None
            else {}
        )
        texts = ("id", "request", "sequence", "source", "status", "dispatch", "fallback")
        fields: dict[str, tuple[str, Any]] = {
            "started": (log.started, _Moment),
            "timestamp": (log.timestamp, _Moment),
        }
        if log.calls and log.call is not None:
            fields["calls"] = (log.calls, list[call] | None)  # type: ignore[valid-type]
        fields |= {name: (getattr(log, name), Any) for name in texts}
        entry, self.names = _struct(fields)
        decoder = msgspec.json.Decoder(entry)
        self.decode, self.decode_lines = decoder.decode, decoder.decode_lines


def _struct(fields: dict[str, tuple[str, Any]]) -> tuple[type[msgspec.Struct], dict[str, str]]:
    """A struct of `fields` (our word -> (name in the log, type)), and our words' names in it.

    Several words may mean the same field of a log.
    """
    by_name: dict[str, tuple[str, Any]] = {}
    names: dict[str, str] = {}
    for word, (name, kind) in fields.items():
        names[word] = by_name.setdefault(name, (word, kind))[0]
    made = msgspec.defstruct(
        "_Entry",
        [
            (word, kind, msgspec.field(name=name, default=None))
            for name, (word, kind) in by_name.items()
        ],
        gc=False,
    )
    return made, names
