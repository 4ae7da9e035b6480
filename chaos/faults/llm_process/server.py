"""The LLM server as the kinds of this package see it: its process, its record, its answers.

The Watcher stops and starts the server by design, so a fault has to find one at work, to know it
again (number and start of the process), and to tell its end from a stop that was asked for: the
supervisor's record of events says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import msgspec

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import Identity
from chaos.faults.exchange import Exchange, http_get
from chaos.stack.base import Stack
from chaos.stack.llm_probe import completes

LOOK_S = 0.02
HEALTH_LIMIT_S = 1.0
_COMPLETION_LIMIT_S = 5.0
_BYTES_MAX = 4 << 20  # of the record that are read at once
_START_LIMIT_S = 3.0


@runtime_checkable
class Supervised(Protocol):
    """What a service offers whose supervisor can make its servers misbehave."""

    def faults(self) -> dict[str, Any]:
        """How the servers misbehave from their next start on."""

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Set that anew; empty: back to normal."""


class ServerEvent(msgspec.Struct, frozen=True):
    """One line of the supervisor's record; `time_s` is Unix time."""

    time_s: float
    event: str
    pid: int | None = None
    exit_code: int | None = None


@dataclass
class Record:
    """The supervisor's record of events, from where it stood when this was made."""

    path: Path
    offset: int

    @classmethod
    def now(cls, stack: Stack) -> Self:
        """From now on."""
        path = stack.workspace / stack.target.llm.events
        return cls(path, path.stat().st_size if path.is_file() else 0)

    def events(self) -> list[ServerEvent]:
        """What has come since; half a line is left for the next look."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                lines = stream.readlines(_BYTES_MAX)
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                found.append(msgspec.json.decode(line, type=ServerEvent))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
        return found

    def find(self, name: str, pid: int | None = None) -> ServerEvent | None:
        """The first event of that name (and of that process)."""
        for event in self.events():
            if event.event == name and pid in (None, event.pid):
                return event
        return None

    def await_event(
        self, found: Callable[[], ServerEvent | None], deadline: Deadline
    ) -> ServerEvent | None:
        """Look until `found` says something, or the deadline is over."""
        while (event := found()) is None:
            if not deadline.wait(LOOK_S):
                return None
        return event


def supervised(stack: Stack) -> Supervised:
    """The LLM service with its supervisor's knobs. Raises `EnvironmentProblem`."""
    service = stack.service("llm")
    if not isinstance(service, Supervised):
        raise EnvironmentProblem(
            "the LLM server of this stack has no supervisor that could make it misbehave",
            next_step="use a target whose LLM server is started by images/llm/supervisor.py",
        )
    return service


def why_not(stack: Stack, *, knobs: bool = False) -> str | None:
    """Why the server cannot be handled here; None when it can."""
    if not stack.target.llm.events:
        return "the target names no record of the LLM server (llm.events)"
    try:
        supervisor = stack.service("llm_supervisor")
        if knobs:
            supervised(stack).faults()
    except KeyError:
        return "this stack has no LLM supervisor"
    except EnvironmentProblem as error:
        return f"{error.message}; {error.next_step}" if error.next_step else error.message
    return None if supervisor.alive() else "the LLM supervisor does not run"


def current(stack: Stack) -> Identity | None:
    """The server's process, while one runs."""
    return Identity.of(stack.service("llm").pid())


def await_server(stack: Stack, limit_s: float) -> Identity:
    """The process of a server that answers its health question with 200.

    Raises `EnvironmentProblem` when there is none within `limit_s`.
    """
    deadline = Deadline(limit_s)
    while True:
        server = current(stack)
        if server is not None and health(stack).ok and server.lives():
            return server
        if not deadline.wait(LOOK_S):
            raise EnvironmentProblem(
                f"no LLM server was at work within {limit_s:g} s",
                next_step="give the fault a longer hold, or see logs/llm.log of the run",
            )


def health(stack: Stack, limit_s: float = HEALTH_LIMIT_S) -> Exchange:
    """What the server itself answers to the health question."""
    return http_get(stack.direct_llm, "/health", limit_s)


def works(stack: Stack) -> dict[str, Any]:
    """What shows that the LLM is at work again, for the Watcher too; all true when it is."""
    through = http_get(stack.proxied_llm, "/health", HEALTH_LIMIT_S)
    well = health(stack).ok and through.ok
    return {"healthy": well, "completes": well and completes(stack.direct_llm, _COMPLETION_LIMIT_S)}


def restart(stack: Stack) -> None:
    """Stop and start the server as a Watcher would, through its supervisor."""
    service = stack.service("llm")
    service.stop(_START_LIMIT_S)
    service.start()
