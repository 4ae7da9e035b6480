"""Wait until the parts of a stack have shown that they work. Starts and stops nothing."""

import threading
from collections.abc import Callable
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.stopping import RunStopped
from chaos.record.target_llm import LLMSpec
from chaos.stack.base import Endpoint, Service
from chaos.stack.llm_probe import completes, healthy
from chaos.stack.llm_service import LLMService
from chaos.stack.process import not_ready
from chaos.stack.proxies import WireProblem
from chaos.stack.toxiproxy import ProxyProblem

_PROXY_START_LIMIT_S = 10.0
_HEALTH_LIMIT_S = 2.0
_COMPLETION_LIMIT_S = 10.0
_LOOK_S = 0.01
_OWN = "the command of llm.server stays in the foreground, and its server listens on {}"
_SETUP = "`chaos setup --verify` checks the model and the proxy"


class Readiness:
    """Each wait raises `EnvironmentProblem` with the end of a log if what is awaited ends or the
    limit passes first, and `RunStopped` once `cancel` is set.
    """

    def __init__(self, llm: LLMSpec, cancel: threading.Event) -> None:
        self._llm = llm
        self._cancel = cancel

    def proxy(self, request: Callable[[], object], what: str, service: Service) -> None:
        """Wait until a proxy answers `request`."""
        deadline = Deadline(_PROXY_START_LIMIT_S, self._cancel)
        while True:
            try:
                request()
                return
            except (ProxyProblem, WireProblem):
                self._keep_waiting(deadline, what, service.log, ended=not service.alive())

    def llm(self, service: LLMService) -> None:
        """Wait for answers of a server of the run to direct requests, then through the proxy."""
        deadline = Deadline(self._llm.start_limit_s, self._cancel)
        step = _SETUP if self._llm.server is None else _OWN.format(self._llm.upstream)
        for endpoint in self._ways():
            while not self._completes(endpoint):
                what = f"the LLM server at {endpoint}"
                self._keep_waiting(deadline, what, service.log, step, ended=service.died())

    def external_llm(self, relay: Service) -> None:
        """Wait for answers of a server outside the run, directly and through the proxy."""
        deadline = Deadline(self._llm.start_limit_s, self._cancel)
        for endpoint in self._ways():
            while not self._completes(endpoint):
                what = f"the LLM server at {self._llm.external}, by the relay at {endpoint},"
                step = "is it up, and can it be reached from this machine? (llm.server)"
                self._keep_waiting(deadline, what, relay.log, step, ended=not relay.alive())

    def adopted_llm(self, service: LLMService, daemon: Service) -> None:
        """Wait for answers of the server that the running daemon starts, and for its process."""
        deadline = Deadline(self._llm.start_limit_s, self._cancel)
        for endpoint in self._ways():
            while not (self._completes(endpoint) and service.pid()):
                pid = service.pid()
                seen = f"process {pid} listens there" if pid else "no process of the run listens"
                what = f"the LLM server that the daemon starts, at {endpoint} ({seen}),"
                step = (
                    f"it listens on llm.upstream ({self._llm.upstream}), not on llm.endpoint, "
                    'where the proxy is: docs/own-daemon.md, "Where the LLM comes from"'
                )
                self._keep_waiting(deadline, what, daemon.log, step, ended=not daemon.alive())

    def _ways(self) -> tuple[Endpoint, Endpoint]:
        return Endpoint.parse(self._llm.upstream), Endpoint.parse(self._llm.endpoint)

    def _completes(self, endpoint: Endpoint) -> bool:
        ready = healthy(endpoint, _HEALTH_LIMIT_S, self._llm.ready_path)
        return ready and completes(endpoint, _COMPLETION_LIMIT_S)

    def _keep_waiting(
        self, deadline: Deadline, what: str, log: Path, next_step: str = _SETUP, *, ended: bool
    ) -> None:
        """Wait a moment; raises if it has ended, the time is over, or the run is stopped."""
        time_left = deadline.wait(_LOOK_S)
        if self._cancel.is_set():
            raise RunStopped(f"stopped while waiting for {what}")
        if not time_left or ended:
            why = "ended" if ended else f"was not ready within {deadline.limit_s:g} s"
            raise not_ready(f"{what} {why}", log, next_step)
