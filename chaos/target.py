"""The target profile: everything the harness knows of a Watcher, read from YAML.

Start, stop and halt commands, paths, name patterns, decision-log selectors, time limits and
the LLM endpoint stand in `experiments/targets/NAME.yaml` and nowhere in code, so that another
Watcher gets a file of its own instead of a patch.

In commands and values `{python}` is the interpreter of the stack, `{workspace}` the working
directory of the Watcher, `{programs}` the folder `images/`, and every key of the experiment's
`settings` is available under its own name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]


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


class HaltSpec(_Model, frozen=True):
    """How its users stop the Watcher: a command, and the flag that it leaves."""

    command: list[str]
    flag: str
    limit_s: PositiveSeconds = 30.0


class LLMSpec(_Model, frozen=True):
    """Where the Watcher expects its LLM server (host:port), and the supervisor's event log.

    The proxy listens on `endpoint`, the server behind it on `upstream`; `control` is where
    the supervisor takes start and stop.
    """

    endpoint: str
    upstream: str
    control: str
    proxy_api: str
    events: str  # workspace path of the supervisor's start/stop record
    start_limit_s: PositiveSeconds = 60.0


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
    request_template: dict[str, Any]  # a probe request; {id}, {sequence}, {now}, {type} filled in


class CallSelector(_Model, frozen=True):
    """Field names inside one LLM call of a decision."""

    started: str
    ended: str
    outcome: str
    ok: str  # the outcome's value when the LLM answered
    attempts: str = ""


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


class Target(_Model, kw_only=True, frozen=True):
    """One Watcher, as far as the harness must know it."""

    target: str
    title: str
    workspace: Workspace
    env: dict[str, str] = {}
    watcher: ServiceSpec
    injector: ServiceSpec
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
