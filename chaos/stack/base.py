"""The interface of a stack for runs, faults, soaks and samplers. The same for every backend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from chaos.record.target import Target
from chaos.stack.llm_api import Form


@dataclass(frozen=True)
class Endpoint:
    """A TCP address."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """'127.0.0.1:8080' -> Endpoint."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Stopped:
    """How a service ended. `killed`: it exceeded its time limit and got SIGKILL."""

    exit_code: int | None
    took_s: float
    killed: bool


@dataclass(frozen=True)
class CommandResult:
    """A command that ran in the stack. `exit_code` None: it exceeded its limit and was killed."""

    argv: tuple[str, ...]
    exit_code: int | None
    output: str  # stdout and stderr, the last 4 kB
    took_s: float


class Service(Protocol):
    """One process of the stack, with its descendants."""

    name: str
    log: Path

    def start(self) -> None:
        """Start it unless it runs; returns when it is ready. Raises `EnvironmentProblem`."""

    def stop(self, limit_s: float) -> Stopped:
        """Send the stop signal, wait up to `limit_s`, then kill it and its descendants."""

    def kill(self) -> None:
        """Send SIGKILL to it and its descendants (as a memory limit or `docker kill` does)."""

    def pause(self) -> None:
        """Send SIGSTOP to it and its descendants."""

    def resume(self) -> None:
        """Send SIGCONT to it and its descendants."""

    def pid(self) -> int | None:
        """PID of its process; None while it does not run."""

    def pids(self) -> list[int]:
        """PIDs of its process and its descendants that are alive."""

    def alive(self) -> bool:
        """True if its process runs."""

    def exit_code(self) -> int | None:
        """Exit code of the last start (negative: signal); None while it runs, or if unknown."""


@dataclass(frozen=True)
class RuleState:
    """A rule of the wire proxy: requests of the daemon it has seen, answers it has changed.

    `missed`: answers that were to be changed, and had not the form for it. `probes_struck`: changed
    answers to the harness. Of the system-call witness: matching calls it has seen, and changed.
    """

    seen: int
    struck: int
    missed: int = 0
    probes_struck: int = 0


class Proxy(Protocol):
    """The TCP proxy in front of the LLM server. Each call ends within its own time limit.

    Raises `ProxyProblem` (infrastructure) when the proxy does not answer.
    """

    def add_toxic(
        self, name: str, kind: str, attributes: dict[str, Any], *, stream: str = "downstream"
    ) -> None:
        """Add a toxic of type `kind`; `name` must be new."""

    def remove_toxic(self, name: str) -> None:
        """Remove a toxic. Idempotent."""

    def toxics(self) -> list[str]:
        """Names of the toxics in force."""

    def set_enabled(self, enabled: bool) -> None:
        """Enable or disable the proxy. Disabled, it closes all connections and refuses new ones.

        Idempotent.
        """

    def version(self) -> str:
        """Version text of the server."""


@dataclass(frozen=True)
class Link:
    """One link of the daemon: the address it uses, the server itself, and the proxy between.

    `probe`: the path of a GET that the server answers; empty if there is none.
    """

    proxied: Endpoint
    direct: Endpoint
    proxy: Proxy
    probe: str


class Wire(Protocol):
    """The HTTP proxy behind the TCP proxy: breaks answers by rule (`chaos.stack.http_proxy.rules`).

    Each call ends within its own time limit. Raises `WireProblem` (infrastructure).
    """

    def put(
        self, rule_id: str, kind: str, params: dict[str, Any], match: dict[str, Any] | None = None
    ) -> None:
        """Set a rule; it replaces one with the same id."""

    def remove(self, rule_id: str) -> None:
        """Remove a rule and release the answers that it holds back. Idempotent."""

    def rules(self) -> dict[str, RuleState]:
        """The rules in force by id, with their counters."""

    def asked(self) -> dict[Form, int]:
        """How often the daemon asked for a completion in each form, the most frequent first."""


class CallRules(Protocol):
    """The rules of the system-call witness: they change watched calls (images/witness/rules.py).

    They go with this process. Each call ends within its own time limit. Raises `WitnessProblem`
    (infrastructure). `record`: the file of what the witness has seen.
    """

    record: Path

    def put(self, rule_id: str, rule: Mapping[str, Any]) -> None:
        """Set a rule; `rule_id` must be new."""

    def remove(self, rule_id: str) -> RuleState | None:
        """Remove a rule and let go of the calls that it holds back. Idempotent.

        Returns its last counters; None if there is no such rule of this process.
        """

    def rules(self) -> dict[str, RuleState]:
        """The rules in force by id, with their counters."""


class Clock(Protocol):
    """The Watcher's wall clock, if the Watcher was started so that its clock can be moved."""

    def set_offset(self, offset_s: float) -> None:
        """Set the clock `offset_s` ahead of the true time (negative: behind)."""


class Stack(Protocol):
    """The running system under test.

    Services: watcher, injector, llm, llm_supervisor (or llm_relay), proxy; also wire if a fault
    needs it, and witness and wire_witness if system calls and links are witnessed.
    """

    services: Mapping[str, Service]
    target: Target
    sandboxed: bool  # has its own namespaces and mounts: nothing done to it reaches the host
    can_mount: bool  # the Watcher sees what the harness mounts
    daemon: bool  # the Watcher runs until it is halted; else it is a command that is run repeatedly
    workspace: Path  # the Watcher's working directory, as the harness sees it
    proxied_llm: Endpoint  # the address that the Watcher uses
    direct_llm: Endpoint  # the LLM server itself
    proxy: Proxy
    links: Mapping[str, Link]  # the target's further ones
    wire: Wire | None  # only if a fault of the run needs it
    clock: Clock | None  # only if a fault of the run needs it
    calls: CallRules | None  # only if system calls are witnessed
    not_witnessed: Mapping[str, str]  # as of `Backend`

    def service(self, name: str) -> Service:
        """One service by name. Raises `KeyError` for an unknown name."""

    def second_watcher(self) -> Service:
        """A second Watcher in the same workspace, not started yet.

        Its start does not wait for a ready file. The caller must stop it.
        """

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        """Run a command to its end, in the workspace with the target's environment."""

    def collect(self, destination: Path) -> None:
        """Copy the Watcher's files (data, not programs) into `destination`."""


class Backend(Protocol):
    """Starts and stops a stack."""

    name: str
    # After `up`: witnesses that should be there and cannot be had ("syscalls", "wire"), and why.
    not_witnessed: dict[str, str]

    def up(
        self,
        on_step: Callable[[str], None],
        *,
        before_watcher: Callable[[Stack], None] | None = None,
        daemon: bool = True,
    ) -> Stack:
        """Start everything, and wait for evidence that it is ready. `on_step` gets each step.

        `before_watcher` is called when everything but the Watcher is ready. Without `daemon` the
        service `watcher` is one invocation of the target's batch command, not started yet. Raises
        `EnvironmentProblem`, after everything that was started is stopped again.
        """

    def down(self) -> list[str]:
        """Stop everything; returns what could not be removed."""
