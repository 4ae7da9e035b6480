"""What a stack offers to run, faults, soaks and samplers, whichever backend it lives in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from chaos.record.target import Target


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
    """How a service ended. `killed`: it did not stop in time and got SIGKILL."""

    exit_code: int | None
    took_s: float
    killed: bool


@dataclass(frozen=True)
class CommandResult:
    """A command that ran in the stack. `exit_code` None: it passed its limit and was killed."""

    argv: tuple[str, ...]
    exit_code: int | None
    output: str  # stdout and stderr, the last 4 kB
    took_s: float


class Service(Protocol):
    """One process of the stack, with those it started."""

    name: str
    log: Path

    def start(self) -> None:
        """Start it unless it runs; returns when it is ready, raises `EnvironmentProblem`."""

    def stop(self, limit_s: float) -> Stopped:
        """Ask it to end, wait up to `limit_s`, then kill it and what it started."""

    def kill(self) -> None:
        """SIGKILL, for it and what it started."""

    def pause(self) -> None:
        """SIGSTOP, for it and what it started."""

    def resume(self) -> None:
        """SIGCONT, for it and what it started."""

    def pid(self) -> int | None:
        """Its process, while it runs."""

    def pids(self) -> list[int]:
        """Its process and those it started, as far as alive."""

    def alive(self) -> bool:
        """True if its process runs."""

    def exit_code(self) -> int | None:
        """Exit code (negative: signal) once it ended; None while it runs, or where unknown."""


@dataclass(frozen=True)
class RuleState:
    """A rule of the wire proxy: requests it has seen, answers it has changed."""

    seen: int
    struck: int


class Proxy(Protocol):
    """The TCP proxy in front of the LLM server. Each call ends within its own time limit.

    Raises `ProxyProblem` (infrastructure) when the proxy does not answer.
    """

    def add_toxic(
        self, name: str, kind: str, attributes: dict[str, Any], *, stream: str = "downstream"
    ) -> None:
        """Break connections in the way `kind` does; `name` must be new."""

    def remove_toxic(self, name: str) -> None:
        """Idempotent: a toxic that is not there is already removed."""

    def toxics(self) -> list[str]:
        """Names of those in place."""

    def set_enabled(self, enabled: bool) -> None:
        """Disabled: nobody listens, connections are refused, open ones are closed. Idempotent."""

    def version(self) -> str:
        """Version text of the server."""


class Wire(Protocol):
    """The HTTP proxy behind the TCP proxy: breaks answers by rule (`chaos.stack.http_proxy.rules`).

    Each call ends within its own time limit. Raises `WireProblem` (infrastructure).
    """

    def put(
        self, rule_id: str, kind: str, params: dict[str, Any], match: dict[str, Any] | None = None
    ) -> None:
        """Put a rule into force; one of the same id is replaced."""

    def remove(self, rule_id: str) -> None:
        """Take a rule away; what it holds goes on. Idempotent."""

    def rules(self) -> dict[str, RuleState]:
        """The rules in force by id, with their counters."""


class Clock(Protocol):
    """The Watcher's wall clock, where it was started so that it can be moved."""

    def set_offset(self, offset_s: float) -> None:
        """So far ahead (behind, when negative) of the true time; 0: the true time."""


class Stack(Protocol):
    """The running system under test. Services: watcher, injector, llm, llm_supervisor, proxy;
    and wire, when a fault needs it.
    """

    target: Target
    sandboxed: bool  # in namespaces and mounts of its own: nothing done to it reaches the host
    can_mount: bool  # what the harness mounts there, the Watcher sees
    daemon: bool  # the Watcher runs until it is halted; else it is a command that comes and goes
    workspace: Path  # the Watcher's working directory, as the harness sees it
    proxied_llm: Endpoint  # what the Watcher talks to
    direct_llm: Endpoint  # the LLM server itself
    proxy: Proxy
    wire: Wire | None  # only where a fault of the run needs it
    clock: Clock | None  # the same

    def service(self, name: str) -> Service:
        """One service by name; `KeyError` for an unknown one."""

    def second_watcher(self) -> Service:
        """Another process of the Watcher's program in the same workspace, not started yet.

        Its start returns at once: no ready file is waited for. Whoever starts it ends it.
        """

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        """Run a command in the workspace with the target's environment; waits for its end."""

    def collect(self, destination: Path) -> None:
        """Copy the Watcher's files (data, not programs) into `destination`."""


class Backend(Protocol):
    """Brings a stack up and takes it down."""

    name: str

    def up(
        self,
        on_step: Callable[[str], None],
        *,
        before_watcher: Callable[[Stack], None] | None = None,
        daemon: bool = True,
    ) -> Stack:
        """Start everything, wait for evidence that it is ready; `on_step` is told what goes on.

        `before_watcher` is called when all but the Watcher is ready. Without `daemon` the service
        `watcher` is one invocation of the target's batch command, and is left to be started.
        Raises `EnvironmentProblem`; whatever was started by then is taken down again.
        """

    def down(self) -> list[str]:
        """Stop everything; returns what could not be removed (empty: nothing is left)."""
