"""What triage says: causes, what was ruled out, what stays open, and the next steps. Only data."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from chaos.checks.finding import Evidence
from chaos.checks.paths_taken import PathTaken
from chaos.record.history import Owner

Name = Literal[
    "disk_exhaustion",
    "queue_corruption",
    "vram_not_freed",
    "memory_leak",
    "socket_leak",
    "descriptor_leak",
    "thread_leak",
    "children_left",
    "temp_files_left",
    "llm_connection_drop",
    "process_died",
    "stall",
    "harness_or_infrastructure",
    "unknown",
]

TITLES: dict[Name, str] = {
    "disk_exhaustion": "Disk space exhaustion",
    "queue_corruption": "Queue corruption",
    "vram_not_freed": "VRAM not freed",
    "memory_leak": "Memory leak",
    "socket_leak": "Socket leak",
    "descriptor_leak": "Descriptor leak",
    "thread_leak": "Thread leak",
    "children_left": "Zombie or stray children",
    "temp_files_left": "Temporary files left",
    "llm_connection_drop": "LLM connection drop",
    "process_died": "Process died",
    "stall": "Stall",
    "harness_or_infrastructure": "Harness or infrastructure",
    "unknown": "Unknown",
}


class Step(msgspec.Struct, frozen=True):
    """What to do next; `command` can be pasted into a shell as it is."""

    text: str
    command: str


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that the evidence names. `explains` are the checks whose findings it explains."""

    name: Name
    owner: Owner
    summary: str
    evidence: Sequence[Evidence]
    explains: Sequence[str] = ()
    steps: Sequence[Step] = ()


class RuledOut(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that the evidence excludes, and why."""

    name: Name
    why: str
    evidence: Sequence[Evidence] = ()


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """A cause that the evidence neither names nor excludes, and what would decide it."""

    name: Name
    why: str
    would_decide: str
    steps: Sequence[Step] = ()


Ruling = Cause | RuledOut | Undecided


class Triage(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `subject` is the folder it is about, `sentence` the answer in one line."""

    subject: str
    kind: Literal["run", "workspace"]
    sentence: str
    causes: list[Cause]
    ruled_out: list[RuledOut]
    undecided: list[Undecided]
    paths: list[PathTaken]
    seen: list[str]  # what a closer look showed, one line each
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        content: dict[str, Any] = msgspec.to_builtins(self)
        return content
