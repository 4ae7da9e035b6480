"""The LLM server as a service, started and stopped through its supervisor, as the Watcher does.

The supervisor (images/llm/supervisor.py) is a service of its own, `llm_supervisor`. This service is
its child, the server process, whose PID changes with every start.
"""

import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import Identity
from chaos.stack.base import Endpoint, Service, Stopped
from chaos.stack.http_client import NoAnswer, call
from chaos.stack.process import ProcessTree
from chaos.stack.proctree import await_gone, send, tree

_CALL_LIMIT_S = 2.0
_STOP_LIMIT_S = 20.0
_KILL_LIMIT_S = 2.0


class LLMService(ProcessTree):
    """A `chaos.stack.base.Service`."""

    name = "llm"

    def __init__(self, supervisor: Service, control: Endpoint, log: Path) -> None:
        self.log = log
        self._supervisor = supervisor
        self._control = control

    def start(self) -> None:
        self._ask("POST", "/start", _CALL_LIMIT_S)

    def stop(self, limit_s: float) -> Stopped:
        """Stop the server; the supervisor answers after the process has ended."""
        start_s = time.monotonic()
        if self._supervisor.alive():
            self._ask("POST", "/stop", max(limit_s, _STOP_LIMIT_S))
        return Stopped(None, time.monotonic() - start_s, killed=False)

    def kill(self) -> None:
        """Send SIGKILL to the server only; its supervisor does not restart it."""
        pids = self.pids()
        send(pids, signal.SIGKILL)
        await_gone(pids, _KILL_LIMIT_S)

    def pid(self) -> int | None:
        """The server's PID, or None while it is stopped. No HTTP, so this cannot hang."""
        supervisor = self._supervisor.pid()
        if supervisor is None:
            return None
        # The supervisor has no other children.
        identity = Identity.of(supervisor)
        children = identity.children() if identity is not None else []
        return children[0].pid if children else None

    def pids(self) -> list[int]:
        pid = self.pid()
        return tree(pid) if pid is not None else []

    def exit_code(self) -> int | None:
        return None  # the supervisor's events have it

    def status(self) -> dict[str, Any]:
        """The supervisor's status: state, pid, generation, healthy, starts, stops."""
        return self._ask("GET", "/status", _CALL_LIMIT_S)

    def faults(self) -> dict[str, Any]:
        """The misbehaviour of servers from their next start on, as set by `set_faults`."""
        return self._ask("GET", "/faults", _CALL_LIMIT_S)

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Replace the misbehaviour (images/llm/supervisor.py); an empty mapping: none."""
        self._ask("PUT", "/faults", _CALL_LIMIT_S, dict(faults))

    def died(self) -> bool:
        """True if the server ended by itself and is down; False if that is unknown."""
        try:
            status = self.status()
        except EnvironmentProblem:  # the supervisor does not listen yet
            return False
        return bool(status["state"] == "stopped" and status["generation"] > 0)

    def _ask(
        self, method: str, path: str, limit_s: float, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            answer = call(self._control, method, path, body, timeout_s=limit_s)
            content: dict[str, Any] = answer.json()
        except (NoAnswer, ValueError) as error:
            raise self._problem(f"does not answer {path}: {error}") from error
        if answer.status != 200:
            raise self._problem(f"refused {path}: {content.get('error', answer.status)}")
        return content

    def _problem(self, what: str) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"the LLM supervisor {what}",
            place=str(self._control),
            next_step=f"read {self._supervisor.log}",
        )


class AdoptedLLM(LLMService):
    """A server that the daemon starts and stops: found by its supervisor, which only watches."""

    def pid(self) -> int | None:
        """The PID of the process that listens, as of the last look; None without one."""
        if not self._supervisor.alive():
            return None
        with suppress(EnvironmentProblem):  # it does not listen yet
            pid: int | None = self._ask("GET", "/pid", _CALL_LIMIT_S)["pid"]
            return pid
        return None

    def died(self) -> bool:
        return False  # the daemon may have stopped it


class ExternalLLM(ProcessTree):
    """A server that is not of the run: no process of it is seen, and none is started or ended."""

    name = "llm"

    def __init__(self, server: str, log: Path) -> None:
        self.log = log
        self._server = server

    def start(self) -> None:
        raise self._refusal("started")

    def stop(self, limit_s: float) -> Stopped:
        raise self._refusal("stopped")

    def kill(self) -> None:
        raise self._refusal("killed")

    def pid(self) -> int | None:
        return None

    def pids(self) -> list[int]:
        return []

    def exit_code(self) -> int | None:
        return None

    def _refusal(self, done: str) -> EnvironmentProblem:
        what = f"the LLM server at {self._server} is not of the run, so it is not {done}"
        return EnvironmentProblem(what)
