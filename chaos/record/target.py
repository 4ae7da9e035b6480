"""The target profile: everything the harness knows of a Watcher, read from YAML.

Start, stop and halt commands, paths, name patterns, decision-log selectors, time limits and
the LLM endpoint stand in `experiments/targets/NAME.yaml` and nowhere in code, so that another
Watcher gets a file of its own instead of a patch.

In commands and values `{python}` is the interpreter of the stack, `{workspace}` the working
directory of the Watcher, `{programs}` the folder `images/`, and every key of the experiment's
`settings` is available under its own name.
"""

from typing import Annotated, Any, Literal

import msgspec

from chaos.base.units import LENGTH_MAX_S

PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=LENGTH_MAX_S)]


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class Install(_Model, frozen=True):
    """Copies `source` (below `images/`) to `to` (below the workspace)."""

    source: str
    to: str


class Workspace(_Model, frozen=True):
    """The Watcher's working directory: a volume of its own, limited to `size_mb`."""

    size_mb: Annotated[int, msgspec.Meta(ge=16)]
    install: list[Install]
    prepare: list[list[str]] = []  # commands run in order before the start
    prepare_limit_s: PositiveSeconds = 120.0


class ServiceSpec(_Model, frozen=True):
    """How one program of the Watcher is started and stopped."""

    start: list[str]
    stop_signal: Literal["TERM", "INT"] = "TERM"
    stop_limit_s: PositiveSeconds = 30.0
    ready_file: str = ""  # ready once this file exists and is newer than the start
    ready_limit_s: PositiveSeconds = 30.0


class BatchSpec(_Model, frozen=True):
    """How the Watcher works off its queue without a daemon: a command that ends by itself."""

    command: list[str]
    limit_s: PositiveSeconds = 600.0  # of one invocation


class HaltSpec(_Model, frozen=True):
    """How its users stop the Watcher: a command, and the flag that it leaves."""

    command: list[str]
    flag: str
    limit_s: PositiveSeconds = 30.0


class LLMSpec(_Model, frozen=True):
    """Where the Watcher expects its LLM server (host:port), and the supervisor's event log.

    The proxy listens on `endpoint`, the server behind it on `upstream`; `control` is where
    the supervisor takes start and stop. `wire` is where the HTTP proxy between the two listens
    when a fault needs it, `wire_control` where its rules are set; empty: there is none.
    `call_limit_s`: after how many seconds the Watcher gives a call up, a number or the name of the
    setting in braces; empty: the target does not say.
    """

    endpoint: str
    upstream: str
    control: str
    proxy_api: str
    events: str  # workspace path of the supervisor's start/stop record
    start_limit_s: PositiveSeconds = 60.0
    call_limit_s: str = ""
    wire: str = ""
    wire_control: str = ""


class PolicyFile(_Model, frozen=True):
    """A JSON file of settings; `values` are merged into it (dotted keys) before the start."""

    path: str
    values: dict[str, Any] = {}


class Queue(_Model, frozen=True):
    """Folders of the request queue (glob patterns, relative to the workspace)."""

    pending: str
    claimed: str
    archived: str
    quarantined: str
    submit_dir: str
    type_field: str = "request_type"  # of a request
    # Values of that field that mean each of the plan's two types.
    types_selfplay: list[str] = msgspec.field(default_factory=lambda: ["selfplay"])
    types_learning: list[str] = msgspec.field(default_factory=lambda: ["learning_loop"])
    # The form of a request; filled in: {id} (file name), {type}, {source}, {sequence}, {reason},
    # {timestamp}, {episodes}, {scope}. A key whose placeholder has no value is left out.
    request_templates: dict[str, dict[str, Any]] = {}  # by the plan's type
    request_template: dict[str, Any] = {}  # for a type that has none of its own


class CallSelector(_Model, frozen=True):
    """Field names inside one LLM call of a decision."""

    started: str
    ended: str
    outcome: str
    ok: str  # the outcome's value when the LLM answered
    attempts: str = ""
    answer: str = ""  # what the LLM answered: text, or an object of which each value is in the text


class DecisionLog(_Model, frozen=True):
    """Which fields of the decision log mean what."""

    path: str
    id: str
    request: str  # names the request file
    sequence: str
    source: str
    status: str
    completed: list[str]  # values of `status` that mean done
    dispatch: str
    dispatch_selfplay: list[str]
    dispatch_learning: list[str]
    fallback: str  # present and true when the LLM did not decide
    started: str
    timestamp: str
    calls: str = ""  # list of LLM calls inside a decision
    child_pid: str = ""  # dotted: the process that did the work, how it ended, and what it
    child_exit: str = ""  # wrote ({path: SHA-256}); empty where the log does not say
    artefacts: str = ""
    call: CallSelector | None = None


class Draws(_Model, frozen=True):
    """The draw history and how to recompute it."""

    path: str
    list: str
    value: str
    source: str
    bootstrap_source: str
    generator: Literal["java_lcg"]
    seed: int
    modulus: int


class Telemetry(_Model, frozen=True):
    """The model telemetry: path and field of the model count and of the time stamp."""

    path: str
    model_count: str
    timestamp: str


class Predictions(_Model, frozen=True):
    """The prediction pool: a list of {draw index, predicted values}."""

    path: str
    list: str
    draw_index: str
    values: str


class Paths(_Model, frozen=True):
    """Other files (relative to the workspace)."""

    logs: list[str]  # glob patterns of the Watcher's own log files
    policy_candidates: str  # glob
    policy_candidate_id: str
    diagnostics: str  # glob
    diagnostics_requests: str  # field of a diagnostics file listing the requests it emitted
    diagnostics_timestamp: str = "timestamp"  # field of a diagnostics file: when it was written
    # Field of a diagnostics file: the place of its draw in the history, from 0. Without it the
    # files are only counted.
    diagnostics_draw: str = ""


class Instance(_Model, frozen=True):
    """How to tell which process works in the workspace, and the locks that may be left in it.

    `pid_file` is a JSON file; `pid` and `start_ticks` (time of the process's start in clock
    ticks since boot, as in /proc/PID/stat) are its fields. Without `start_ticks` the process
    must have the workspace as its working directory. Nobody is ever found by name.
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

    halt_flags: list[str] = []  # others than `halt.flag`; absolute ones concern the machine
    test_mode: dict[str, Any] = {}  # dotted keys of the policies file, and their values
    bootstrap: list[str] = []  # makes the draw history
    artefacts: list[Artefact] = []
    pipeline: list[str] = []
    limit_s: PositiveSeconds = 300.0  # of each command
    start_llm: str = ""
    disk_free_mb_min: Annotated[float, msgspec.Meta(ge=0)] = 1000.0


class Target(_Model, kw_only=True, frozen=True):
    """One Watcher, as far as the harness must know it."""

    target: str
    title: str
    workspace: Workspace
    env: dict[str, str] = {}
    watcher: ServiceSpec
    injector: ServiceSpec
    batch: BatchSpec | None = None
    halt: HaltSpec
    llm: LLMSpec
    policies: PolicyFile
    queue: Queue
    decisions: DecisionLog
    draws: Draws
    telemetry: Telemetry
    predictions: Predictions
    paths: Paths
    error_patterns: list[str] = msgspec.field(
        default_factory=lambda: ["Traceback (most recent call last)"]
    )
    poll_interval_s: PositiveSeconds = 1.0
    instance: Instance | None = None
    child_arguments: ChildArguments = ChildArguments()
    inspection: Inspection | None = None  # without it the Watcher is never signalled
    prerequisites: Prerequisites = Prerequisites()
