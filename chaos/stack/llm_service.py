"""The LLM server as a service: started and stopped through its supervisor, like a Watcher does.

The supervisor (images/llm/supervisor.py) is a service of its own, `llm_supervisor`; this one is
the server process below it, whose PID changes with every start.
"""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint, Service, Stopped
from chaos.stack.proctree import await_gone, await_stopped, is_alive, send, tree

_CALL_LIMIT_S = 2.0
_STOP_LIMIT_S = 20.0
_KILL_LIMIT_S = 2.0


class LLMService:
    """See the module and `chaos.stack.base.Service`."""

    name = "llm"

    def __init__(self, supervisor: Service, control: Endpoint, log: Path) -> None:
        self.log = log
        self._supervisor = supervisor
        self._control = control

    def start(self) -> None:
        """Have it started; returns when it is spawned (health needs some more time)."""
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

    def pause(self) -> None:
        """SIGSTOP for the server only; returns once it has stopped."""
        pids = self.pids()
        send(pids, signal.SIGSTOP)
        await_stopped(pids)

    def resume(self) -> None:
        """SIGCONT for the server only."""
        send(self.pids(), signal.SIGCONT)

    def pid(self) -> int | None:
        """The server's process, or None while it is stopped. No HTTP: cheap and cannot hang."""
        supervisor = self._supervisor.pid()
        if supervisor is None:
            return None
        # The supervisor forks from its main thread, and has no other children.
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children")
        try:
            pids = children.read_text(encoding="ascii").split()
        except OSError:  # it ended, or the kernel has no such file
            pids = [str(pid) for pid in tree(supervisor) if pid != supervisor]
        return next((int(pid) for pid in pids if is_alive(int(pid))), None)

    def pids(self) -> list[int]:
        """The server's process and those below it."""
        pid = self.pid()
        return tree(pid) if pid is not None else []

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self.pid() is not None

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
        """Whether the server ended by itself and is down; False while nobody can say."""
        try:
            status = self.status()
        except EnvironmentProblem:  # the supervisor does not listen yet
            return False
        return bool(status["state"] == "stopped" and status["generation"] > 0)

    def _ask(
        self, method: str, path: str, limit_s: float, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        link = http.client.HTTPConnection(self._control.host, self._control.port, limit_s)
        try:
            link.request(method, path, None if body is None else json.dumps(body))
            answer = link.getresponse()
            content: dict[str, Any] = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise EnvironmentProblem(
                f"the LLM supervisor does not answer {path}: {error}",
                place=str(self._control),
                next_step=f"read {self._supervisor.log}",
            ) from error
        finally:
            link.close()
        if answer.status != 200:
            raise EnvironmentProblem(
                f"the LLM supervisor refused {path}: {content.get('error', answer.status)}",
                place=str(self._control),
                next_step=f"read {self._supervisor.log}",
            )
        return content
