"""What findings point to: a reference into the run directory, and what is seen there."""

import msgspec


class Evidence(msgspec.Struct, frozen=True):
    """Where to look, and what is seen there.

    `ref` is relative to the run directory: "history.jsonl:123",
    "artefacts/watcher_decisions.jsonl:7".
    """

    ref: str
    text: str
