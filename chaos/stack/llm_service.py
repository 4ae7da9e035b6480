"""The LLM server as a service: started and stopped through its supervisor, like a Watcher does.

The supervisor (images/llm/supervisor.py) is a service of its own, `llm_supervisor`; this one is
the server process below it, whose PID changes with every start.
"""

import signal
import time
from collections.abc import Mapping
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
        """Have it stopped; the supervisor answers after the process is gone."""
        start_s = time.monotonic()
        if self._supervisor.alive():
            self._ask("POST", "/stop", max(limit_s, _STOP_LIMIT_S))
        return Stopped(None, time.monotonic() - start_s, killed=False)

    def kill(self) -> None:
        """SIGKILL for the server only: its supervisor notices, and leaves it down."""
        pids = self.pids()
        send(pids, signal.SIGKILL)
        await_gone(pids, _KILL_LIMIT_S)

    def pid(self) -> int | None:
        """The server's process, or None while it is stopped. No HTTP: cheap and cannot hang."""
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
        """Not known here; the supervisor's events have it."""
        return None

    def status(self) -> dict[str, Any]:
        """What the supervisor says: state, pid, generation, healthy, starts, stops."""
        return self._ask("GET", "/status", _CALL_LIMIT_S)

    def faults(self) -> dict[str, Any]:
        """How the supervisor has servers misbehave from their next start on."""
        return self._ask("GET", "/faults", _CALL_LIMIT_S)

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Set that anew (images/llm/supervisor.py); an empty mapping: back to normal."""
        self._ask("PUT", "/faults", _CALL_LIMIT_S, dict(faults))

    def died(self) -> bool:
        """True if the server ended by itself and is down; False while nobody can say."""
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
