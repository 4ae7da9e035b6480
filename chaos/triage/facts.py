"""The evidence that rules decide by, whether it comes from a run or from a look at a workspace.

None and an empty tuple differ: None means that nobody looked, or that it could not be seen.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chaos.checks.finding import Evidence, Finding
from chaos.record.target import Target
from chaos.triage.held import HeldFacts


@dataclass(frozen=True)
class LLMFacts:
    """How the Watcher fared with its LLM."""

    failed_outside: tuple[Evidence, ...] = ()  # fallbacks with failed calls, no fault at the time
    failed_count: int = 0  # how many of them there were in all
    contradicting: tuple[Evidence, ...] = ()  # fallbacks although every call was answered
    answered_last: Evidence | None = None  # the last answer, when no fallback came after it
    server_lost: tuple[Evidence, ...] = ()  # the server died, or nobody listens
    reachable: str = ""  # what shows that the server itself was there
    watched: bool = False  # whether there were decisions to tell by


@dataclass(frozen=True)
class BadRequest:
    """A request that cannot be read: `path` as it can be opened, and what is wrong with it."""

    path: Path
    ref: str
    part: Literal["pending", "claimed", "quarantined"]
    defect: str


@dataclass(frozen=True)
class QueueFacts:
    """What is left in the queue."""

    pending: int = 0
    claimed: int = 0
    bad: tuple[BadRequest, ...] = ()
    sound: tuple[Evidence, ...] = ()  # stuck requests that can be read


@dataclass(frozen=True)
class DiskFacts:
    """The volume of the working directory."""

    full: Evidence | None = None  # when it was full
    free_text: str = ""  # what was measured
    errors: tuple[Evidence, ...] = ()  # log lines that say so
    measured: bool = False


@dataclass(frozen=True)
class ProcessFacts:
    """The Watcher's process. `alive` None: cannot be told."""

    died: tuple[Evidence, ...] = ()
    alive: bool | None = None
    last_words: tuple[Evidence, ...] = ()  # error lines of its logs
    contradiction: str = ""
    told_to_stop: str = ""


@dataclass(frozen=True)
class GPUFacts:
    """GPU memory. `absent` says why there is nothing to see."""

    absent: str = ""
    kept: tuple[Evidence, ...] = ()  # memory held by whom it should not be
    freed: bool = False  # it was watched, and came back


@dataclass(frozen=True)
class MemoryFacts:
    """What the Watcher's memory is made of, or why that is not known; () when nobody asked."""

    allocators: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class ProgressFacts:
    """Whether work went on."""

    stuck: tuple[Evidence, ...] = ()  # work waited and nothing was done
    went_on: bool = False  # decisions to the end
    halt_flag: Path | None = None


@dataclass(frozen=True)
class Facts:
    """Everything a rule may decide by. `files` holds the Watcher's files."""

    place: Path
    files: Path
    is_run: bool
    target: Target
    failed: tuple[Finding, ...] = ()  # of the product
    trouble: tuple[Finding, ...] = ()  # of the harness and the infrastructure
    outcomes: dict[str, str] = field(default_factory=dict)  # check -> its worst outcome
    planted: dict[str, str] = field(default_factory=dict)  # triage path -> fault that exercised it
    problems: tuple[Evidence, ...] = ()  # events of trouble with their owner in the text
    infrastructure: bool = False  # whether any of them is not of the harness itself
    llm: LLMFacts = LLMFacts()
    queue: QueueFacts = QueueFacts()
    disk: DiskFacts = DiskFacts()
    process: ProcessFacts = ProcessFacts()
    gpu: GPUFacts = GPUFacts()
    memory: MemoryFacts = MemoryFacts()
    held: HeldFacts = field(default_factory=HeldFacts)
    progress: ProgressFacts = ProgressFacts()
    reproduce: str = ""
    named: str = ""  # what --target needs to say to mean `target`; empty: it needs not be said

    def failed_of(self, *checks: str) -> list[Finding]:
        """The failed findings of the product by any of `checks`."""
        return [finding for finding in self.failed if finding.check in checks]

    def ref_path(self, ref: str) -> Path:
        """The file that a reference names."""
        return self.place / ref.rpartition(":")[0] if _numbered(ref) else self.place / ref


def _numbered(ref: str) -> bool:
    return ref.rpartition(":")[2].isdigit()
