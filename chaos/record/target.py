"""The target profile: everything the harness knows of a daemon, read from YAML.

Three things are required: how the daemon is started (`watcher.start`), how work reaches it
(`work.submit`), and how one sees that a piece of work is done (`work.done`). Everything else is
optional; what a target does not say is empty here, and a check that needs it is not judged
(`Target.says`).

In commands and values `{python}` is the interpreter of the stack, `{workspace}` the working
directory of the daemon, `{programs}` the folder `images/`, and every key of the experiment's
`settings` is available under its own name.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from chaos.base.bounded import PositiveSeconds
from chaos.record.draws import Draws
from chaos.record.record_sql import (
    DecisionLog,
    DrawLog,
    Source,
    columns_of,
    decision_log,
    draw_log,
    source_of,
)
from chaos.record.target_llm import LinkSpec, LLMSpec
from chaos.record.work import Work

ALL_UNSAID = "*"  # in `not_applicable`: every check that the target says nothing for


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class Install(_Model, frozen=True):
    """Copies `source` to `to` (below the workspace).

    In the file `source` is relative to the file, or begins with `{programs}/`; here it is below
    `images/`, or absolute.
    """

    source: str
    to: str


class Workspace(_Model, frozen=True):
    """The daemon's working directory: a volume of its own, limited to `size_mb`."""

    size_mb: Annotated[int, msgspec.Meta(ge=16)] = 256
    install: list[Install] = []
    prepare: list[list[str]] = []  # commands run in order before the start
    prepare_limit_s: PositiveSeconds = 120.0


class ServiceSpec(_Model, frozen=True):
    """How one program of the daemon is started and stopped.

    It is ready once `ready_file` is newer than the start, and once `ready_url` (http) answers
    with a status below 500; without either, as soon as it runs.
    """

    start: list[str]
    stop_signal: Literal["TERM", "INT"] = "TERM"
    stop_limit_s: PositiveSeconds = 30.0
    ready_file: str = ""
    ready_url: str = ""
    ready_limit_s: PositiveSeconds = 30.0


class BatchSpec(_Model, frozen=True):
    """How the Watcher works off its queue without a daemon: a command that ends by itself."""

    command: list[str]
    limit_s: PositiveSeconds = 600.0  # of one invocation


class HaltSpec(_Model, frozen=True):
    """How its users halt the daemon: a command, and the flags that it leaves.

    A flag is a path in the workspace, or an absolute one (in the sandbox `/tmp` is the daemon's
    own). `then`: the daemon ends, or it only pauses: it takes no more work, and is ended by
    `stop`, or by the stop signal without it.
    """

    command: list[str]
    flags: list[str] = []
    then: Literal["ends", "pauses"] = "ends"
    stop: list[str] = []
    limit_s: PositiveSeconds = 30.0


class PolicyFile(_Model, frozen=True):
    """A JSON file of settings; `values` are merged into it (dotted keys) before the start."""

    path: str = ""
    values: dict[str, Any] = {}


class Record(_Model, frozen=True):
    """One table of claims: a `select` over the daemon's own files (`chaos.record.record_sql`)."""

    sql: str


class Records(_Model, frozen=True):
    """What the daemon's files say, by the table that it becomes (docs/own-daemon.md)."""

    decisions: Record | None = None
    calls: Record | None = None
    draws: Record | None = None
    telemetry: Record | None = None
    predictions: Record | None = None


class Outcomes(_Model, frozen=True):
    """What the values of `status` mean."""

    done: list[str] = msgspec.field(default_factory=lambda: ["COMPLETED"])
    failed: list[str] = []
    refused: list[str] = []


class Paths(_Model, frozen=True):
    """Other files (relative to the workspace)."""

    logs: list[str] = []  # glob patterns of the daemon's own log files
    policy_candidates: str = ""  # glob
    policy_candidate_id: str = ""
    diagnostics: str = ""  # glob
    diagnostics_requests: str = ""  # field of a diagnostics file: the requests it emitted
    diagnostics_timestamp: str = "timestamp"  # field of a diagnostics file: when it was written
    # Field of a diagnostics file: the place of its draw in the history, from 0. Without it the
    # files are only counted.
    diagnostics_draw: str = ""


class Instance(_Model, frozen=True):
    """How to tell which process works in the workspace, and the locks that may be left in it.

    `pid_file` is a JSON file; `pid` and `start_ticks` (time of the process's start in clock
    ticks since boot, as in /proc/PID/stat) are its fields. `pid: ""`: the file is a number alone.
    Without `start_ticks` the process must have the workspace as its working directory. Nobody is
    ever found by name.
    """

    pid_file: str
    pid: str = "pid"
    start_ticks: str = ""
    locks: list[str] = msgspec.field(default_factory=lambda: ["**/*.lock"])  # glob patterns
    kept_locks: list[str] = []  # stay when they are released: an empty one means nothing


class Inspection(_Model, frozen=True):
    """How the Watcher is asked what its memory is made of, where it can be asked.

    Its main process takes the signal and replaces the report (images/watcher/README.md), a JSON
    file relative to the workspace, within `limit_s`.
    """

    memory_report: str
    memory_signal: Literal["USR1", "USR2"] = "USR2"
    limit_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 3.0


class ChildArguments(_Model, frozen=True):
    """What the Watcher tells its child processes by their command line, where it does.

    `parameters`: dotted field of a request -> the option that carries its value (for true and
    false: the option that is there or not). `answers`: field of the LLM's answer -> the option
    that carries what it says. `steps`: the option that lists pipeline steps, with commas between;
    `order`: selfplay or learning -> the steps of such a dispatch, in order.
    """

    parameters: dict[str, str] = {}
    answers: dict[str, str] = {}
    steps: str = ""
    order: dict[Literal["selfplay", "learning"], list[str]] = {}


class Artefact(_Model, frozen=True):
    """A JSON file that a pipeline step makes; `key` is in it once that step has really run."""

    path: str
    step: Annotated[int, msgspec.Meta(ge=1)]
    key: str = ""


class Prerequisites(_Model, frozen=True):
    """What must be there before a soak by hand, and how to make it (the plan, section 2).

    `pipeline` is given the steps as {start_step} and {end_step}; `start_llm` is for people.
    """

    test_mode: dict[str, Any] = {}  # dotted keys of the policies file, and their values
    bootstrap: list[str] = []  # makes the draw history
    artefacts: list[Artefact] = []
    pipeline: list[str] = []
    limit_s: PositiveSeconds = 300.0  # of each command
    start_llm: str = ""
    disk_free_mb_min: Annotated[float, msgspec.Meta(ge=0)] = 1000.0


class Target(_Model, kw_only=True, frozen=True):
    """One daemon, as far as the harness must know it.

    `links`: further connections, by name. `services`: further programs, started after the daemon in
    this order and stopped before it. `not_applicable`: name of a check, or `*` for all that the
    target says nothing for -> the reason why it is left out.
    """

    target: str
    title: str = ""
    watcher: ServiceSpec
    work: Work
    workspace: Workspace = Workspace()
    env: dict[str, str] = {}
    injector: ServiceSpec | None = None
    services: dict[str, ServiceSpec] = {}
    batch: BatchSpec | None = None
    halt: HaltSpec | None = None
    llm: LLMSpec = LLMSpec()
    links: dict[str, LinkSpec] = {}
    policies: PolicyFile = PolicyFile()
    records: Records = Records()
    outcomes: Outcomes = Outcomes()
    draws: Draws = Draws()
    paths: Paths = Paths()
    error_patterns: list[str] = msgspec.field(
        default_factory=lambda: ["Traceback (most recent call last)"]
    )
    poll_interval_s: PositiveSeconds = 1.0
    instance: Instance | None = None
    child_arguments: ChildArguments = ChildArguments()
    inspection: Inspection | None = None  # without it the Watcher is never signalled
    prerequisites: Prerequisites = Prerequisites()
    not_applicable: dict[str, str] = {}

    @property
    def programs(self) -> dict[str, ServiceSpec]:
        """What is started beside the daemon: its services, and the injector."""
        injector = {} if self.injector is None else {"injector": self.injector}
        return {**self.services, **injector}

    @property
    def decisions(self) -> DecisionLog:
        """Where the decision log lies, and which of its fields means what."""
        record = self.records.decisions
        return decision_log("" if record is None else record.sql)

    @property
    def draw_log(self) -> DrawLog:
        """How the draws are counted while the run goes on."""
        return draw_log("" if self.records.draws is None else self.records.draws.sql)

    def source(self, record: str) -> Source:
        """The file that the record of this name is read from."""
        found: Record | None = getattr(self.records, record)
        return Source() if found is None else source_of(found.sql)

    @property
    def halt_flags(self) -> list[str]:
        """The flags whose presence means that the daemon was told to halt."""
        return [] if self.halt is None else self.halt.flags

    @property
    def end_limit_s(self) -> float:
        """How long the daemon may take to end when it is told to."""
        return self.watcher.stop_limit_s if self.halt is None else self.halt.limit_s

    @property
    def server_arguments(self) -> list[str]:
        """What the target says of the LLM server, as arguments of images/llm/llm_server.py."""
        llm = self.llm
        said = {"--ctx": llm.context_tokens, "--threads": llm.threads, "--parallel": llm.slots}
        return [word for key, value in said.items() if value for word in (key, str(value))]

    def lacks(self, keys: Iterable[str]) -> str:
        """Why there is no evidence for what needs `keys`; empty where the target says them all."""
        if "llm.events" in keys and self.llm.external:
            return "the LLM server is not of the run (llm.server), so its starts are not recorded"
        unsaid = [key for key in keys if not self.says(key)]
        return f"the target does not say {' or '.join(unsaid)}" if unsaid else ""

    def says(self, key: str) -> bool:
        """Whether the target says anything at this dotted key, e.g. `work.claimed`.

        A flag is said where it is true. `decisions.COLUMN` is a column of the record `decisions`,
        and so for the other records; `draws.KEY` may be a key of the section `draws`, too.
        """
        first, _, rest = key.partition(".")
        if first in Records.__struct_fields__:
            record = getattr(self.records, first)
            said = record is not None and (not rest or rest in columns_of(record.sql))
            if said or first != "draws":
                return said
        if key in ("draws.seed", "draws.modulus") and self.draws.command:
            return True  # its output is what they stand for
        value: Any = self
        for name in key.split("."):
            value = getattr(value, name, None)
        if isinstance(value, msgspec.Struct):
            return any(getattr(value, name) for name in value.__struct_fields__)
        return value is not None and value is not False and value not in ("", [], {})
