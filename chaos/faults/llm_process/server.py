"""The LLM server: its process, the supervisor's record of it, and its answers.

The Watcher stops and starts the server by design. So a fault waits for a server that answers,
identifies it by number and start of its process, and reads from the supervisor's record of events
whether it crashed or was stopped.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import msgspec

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.files import file_from
from chaos.base.proc import Identity
from chaos.faults.exchange import Exchange, http_get
from chaos.stack.base import Stack
from chaos.stack.llm_probe import completes

LOOK_S = 0.02
HEALTH_LIMIT_S = 1.0
_COMPLETION_LIMIT_S = 5.0
_RECORD_BYTES_MAX = 4 << 20
_START_LIMIT_S = 3.0


@runtime_checkable
class Supervised(Protocol):
    """A service whose supervisor can make its servers misbehave."""

    def faults(self) -> dict[str, Any]:
        """How servers misbehave from their next start on."""

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Replace that; empty: normal servers again."""


class ServerEvent(msgspec.Struct, frozen=True):
    """One line of the supervisor's record; `time_s` is Unix time."""

    time_s: float
    event: str
    pid: int | None = None
    exit_code: int | None = None


@dataclass
class Record:
    """The supervisor's record of events from `offset` on."""

    path: Path
    offset: int

    @classmethod
    def now(cls, stack: Stack) -> Self:
        """The events from now on."""
        path = stack.workspace / stack.target.llm.events
        return cls(path, path.stat().st_size if path.is_file() else 0)

    def events(self) -> list[ServerEvent]:
        """All events since; an incomplete line is left out."""
        events = []
        for line in file_from(self.path, self.offset, _RECORD_BYTES_MAX).splitlines():
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                events.append(msgspec.json.decode(line, type=ServerEvent))
        return events

    def find(self, name: str, pid: int | None = None) -> ServerEvent | None:
        """The first event of that name (and of that process)."""
        events = self.events()
        return next((e for e in events if e.event == name and pid in (None, e.pid)), None)

    def await_event(
        self, find: Callable[[], ServerEvent | None], deadline: Deadline
    ) -> ServerEvent | None:
        """Call `find` until it returns an event, or the deadline is over."""
        while (event := find()) is None:
            if not deadline.wait(LOOK_S):
                return None
        return event


def supervised(stack: Stack) -> Supervised:
    """The LLM service. Raises `EnvironmentProblem` if its supervisor is not `Supervised`."""
    service = stack.service("llm")
    if not isinstance(service, Supervised):
        raise EnvironmentProblem(
            "the LLM server of this stack has no supervisor that could make it misbehave",
            next_step="use a target whose LLM server is started by images/llm/supervisor.py",
        )
    return service


def unavailable(stack: Stack, *, knobs: bool = False) -> str | None:
    """Why the server cannot be broken here, or None. `knobs`: by its supervisor."""
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
    """The server's process, if it runs."""
    return Identity.of(stack.service("llm").pid())


def await_server(stack: Stack, limit_s: float) -> Identity:
    """The process of a server that is healthy.

    Raises `EnvironmentProblem` if there is none within `limit_s`.
    """
    deadline = Deadline(limit_s)
    while True:
        server = current(stack)
        if server is not None and health(stack).ok and server.lives():
            return server
        if not deadline.wait(LOOK_S):
            raise EnvironmentProblem(
                f"no LLM server was healthy within {limit_s:g} s",
                next_step="give the fault a longer hold, or see logs/llm.log of the run",
            )


def health(stack: Stack, limit_s: float = HEALTH_LIMIT_S) -> Exchange:
    """Ask the server itself for its health."""
    return http_get(stack.direct_llm, stack.target.llm.ready_path, limit_s)


def works(stack: Stack) -> dict[str, Any]:
    """Whether the LLM is healthy, directly and through the proxy, and completes a prompt."""
    through = http_get(stack.proxied_llm, stack.target.llm.ready_path, HEALTH_LIMIT_S)
    healthy = health(stack).ok and through.ok
    completed = healthy and completes(stack.direct_llm, _COMPLETION_LIMIT_S)
    return {"healthy": healthy, "completes": completed}


def restart(stack: Stack) -> None:
    """Stop and start the server through its supervisor, as a Watcher does."""
    service = stack.service("llm")
    service.stop(_START_LIMIT_S)
    service.start()
