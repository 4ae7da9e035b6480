"""The facts that the rules decide by, from a stored run or from a snapshot of a workspace.

None and an empty tuple differ: None means that the fact was not examined, or is not visible.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chaos.checks.finding import Evidence, Finding
from chaos.record.target import Target
from chaos.triage.held import HeldFacts

KEPT_MAX = 8  # pieces of evidence of one kind


@dataclass(frozen=True)
class LLMFacts:
    """The Watcher's calls to its LLM, and the LLM server."""

    failed_outside: tuple[Evidence, ...] = ()  # fallbacks with failed calls, no fault at the time
    failed_count: int = 0  # of all such fallbacks
    contradicting: tuple[Evidence, ...] = ()  # fallbacks although every call was answered
    answered_last: Evidence | None = None  # the last answer, if no fallback came after it
    server_lost: tuple[Evidence, ...] = ()  # the server died, or no process listens
    reachable: str = ""  # the proof that the server was reachable
    watched: bool = False  # True if there are decisions
    none_failed: bool = False  # on the wire no call failed while no fault held
    silent: bool = False  # on the wire nothing was asked after the last fault of the LLM
    refused: tuple[Evidence, ...] = ()  # requests that the server calls wrong, no fault at the time
    refused_count: int = 0
    cut_short: tuple[Evidence, ...] = ()  # answers that reached their limit of tokens, likewise
    cut_short_count: int = 0


@dataclass(frozen=True)
class BadRequest:
    """A request that cannot be read. `path` can be opened, `ref` is how evidence names it."""

    path: Path
    ref: str
    part: Literal["pending", "claimed", "quarantined"]
    defect: str


@dataclass(frozen=True)
class QueueFacts:
    """The requests that are left in the queue."""

    pending: int = 0
    claimed: int = 0
    bad: tuple[BadRequest, ...] = ()
    sound: tuple[Evidence, ...] = ()  # stuck requests that can be read


@dataclass(frozen=True)
class DiskFacts:
    """The volume of the working directory."""

    full: Evidence | None = None  # when it was full
    free_text: str = ""  # what was measured
    errors: tuple[Evidence, ...] = ()  # log lines about a full volume
    measured: bool = False


@dataclass(frozen=True)
class ProcessFacts:
    """The Watcher's process. `alive` None: unknown."""

    died: tuple[Evidence, ...] = ()
    alive: bool | None = None
    last_errors: tuple[Evidence, ...] = ()  # of its logs
    contradiction: str = ""
    halted: str = ""  # why its end, or its life, is as intended
    log: str = "watcher"  # whose output shows the end: the Watcher's, or that of a service


@dataclass(frozen=True)
class GPUFacts:
    """GPU memory. `absent`: why none is visible."""

    absent: str = ""
    kept: tuple[Evidence, ...] = ()  # memory that a process holds although it must not
    freed: bool = False  # it was sampled, and was released


@dataclass(frozen=True)
class MemoryFacts:
    """The top allocators of the Watcher, or why they are unknown; () if they were not requested."""

    allocators: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class ProgressFacts:
    """Progress of the requests."""

    stuck: tuple[Evidence, ...] = ()  # requests waited, and there was no progress
    went_on: bool = False  # there was progress to the end
    halt_flag: Path | None = None
    where: tuple[Evidence, ...] = ()  # what the Watcher's threads were doing then


@dataclass(frozen=True)
class Facts:
    """All facts. `place` is the run directory or the workspace, `files` has the Watcher's files."""

    place: Path
    files: Path
    is_run: bool
    target: Target
    failed: tuple[Finding, ...] = ()  # of the product
    trouble: tuple[Finding, ...] = ()  # of the harness and the infrastructure
    outcomes: dict[str, str] = field(default_factory=dict)  # check -> its worst outcome
    planted: dict[str, str] = field(default_factory=dict)  # triage path -> fault that exercised it
    problems: tuple[Evidence, ...] = ()  # events of the harness and the infrastructure
    infrastructure: bool = False  # True if any of them is of the infrastructure
    llm: LLMFacts = LLMFacts()
    queue: QueueFacts = QueueFacts()
    disk: DiskFacts = DiskFacts()
    process: ProcessFacts = ProcessFacts()
    gpu: GPUFacts = GPUFacts()
    memory: MemoryFacts = MemoryFacts()
    held: HeldFacts = field(default_factory=HeldFacts)
    progress: ProgressFacts = ProgressFacts()
    reproduce: str = ""
    storm_s: float = 0.0  # how long faults were injected
    named: str = ""  # the value of --target for `target`; "" if it is the default target

    def failed_of(self, *checks: str) -> list[Finding]:
        """The failed findings of the product by any of `checks`."""
        return [finding for finding in self.failed if finding.check in checks]

    def failing(self, *checks: str) -> list[str]:
        """Those of `checks` that have failed for the product, in their order."""
        failed = {finding.check for finding in self.failed}
        return [check for check in checks if check in failed]

    def ref_path(self, ref: str) -> Path:
        """The file that a reference names."""
        path, _, line = ref.rpartition(":")
        return self.place / (path if line.isdigit() else ref)
