"""The watch over a running stack: samples, new artefacts, guardrails, and who has died.

Ends the run (through the stop signal) when a guardrail trips or a process of the stack is gone
that nobody stopped.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from chaos.base.stopping import StopSignal
from chaos.plan.plan import Plan
from chaos.record.history import HistoryWriter
from chaos.record.rundir import RunDir
from chaos.stack.base import Stack
from chaos.stack.outages import Outages
from chaos.witness.artefacts import ArtefactWatcher
from chaos.witness.build import build_sources
from chaos.witness.collector import Collector
from chaos.witness.guardrail import Guard
from chaos.witness.sampler import Sampler

_LOOK_PERIOD_S = 1.0
_FOLLOWED = ("injector",)
_INFRASTRUCTURE = ("proxy", "llm_supervisor")


class Watch:
    """One thread samples at the profile's period, one looks after guardrails and processes.

    Without `daemon` the Watcher is a command that comes and goes: that it is absent means nothing.
    """

    def __init__(
        self,
        stack: Stack,
        plan: Plan,
        rundir: RunDir,
        history: HistoryWriter,
        stop: StopSignal,
        *,
        daemon: bool = True,
        outages: Outages | None = None,
    ) -> None:
        self._stack = stack
        self._outages = outages or Outages()
        self._history = history
        self._stop = stop
        self._guard = Guard(plan.guardrails, rundir.path)
        self._ended = threading.Event()
        self._exit_expected = False
        self._daemon = daemon
        self._look_closer = Collector(stack, plan, history)
        watcher = stack.service("watcher")
        sources = build_sources(
            plan.target,
            stack.workspace,
            stack.direct_llm,
            watcher.pid,
            services=_others(stack),
            report=history.event,
        )
        sources.append(ArtefactWatcher.of_target(plan.target, stack.workspace, history))
        self._sampler = Sampler(sources, history, plan.profile.sample_period_s)
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to sample and to look."""
        self._sampler.start()
        self._thread.start()

    def stop(self) -> None:
        """End both threads; the last sample is written."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2 * _LOOK_PERIOD_S + self._look_closer.limit_s)
        self._sampler.stop()

    def inspect(self, why: str) -> None:
        """Write a close look at the stack into the history (event `inspection`)."""
        self._look_closer.write(why)

    def expect_exit(self) -> None:
        """From now on the Watcher may end: it is being halted."""
        self._exit_expected = True

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_PERIOD_S):
            tripped = self._guard.check(self._history.now_s())
            if tripped is not None:
                self._history.event(
                    "guardrail",
                    severity="error",
                    owner="infrastructure",
                    guardrail=tripped.name,
                    measured=tripped.measured,
                    limit=tripped.limit,
                )
                self.inspect(f"guardrail {tripped.name}")
                self._stop.set("guardrail", tripped.message)
                return
            if self._sampler.failure is not None:
                self._stop.set("error", self._sampler.failure)
                return
            if self._someone_died():
                return
            self._look_closer.on_stall(self._history.now_s())

    def _someone_died(self) -> bool:
        if self._exit_expected:
            return False
        watcher = self._stack.service("watcher")
        if self._daemon and not self._outages.expects("watcher") and not watcher.alive():
            code = watcher.exit_code()
            self._history.event("watcher_exit", severity="error", owner="product", exit_code=code)
            self.inspect("the Watcher ended by itself")
            self._stop.set("error", f"the Watcher ended by itself (exit code {code})")
            return True
        wire = () if self._stack.wire is None else ("wire",)
        for name in (*_INFRASTRUCTURE, *wire):
            service = self._stack.service(name)
            if not self._outages.expects(name) and not service.alive():
                code = service.exit_code()
                self._history.event(
                    "service_exit",
                    severity="error",
                    owner="infrastructure",
                    service=name,
                    exit_code=code,
                )
                self._stop.set("error", f"{name} ended by itself (exit code {code})")
                return True
        return False


def _others(stack: Stack) -> dict[str, Callable[[], int | None]]:
    """Services that may be restarted, too; not every soak has them."""
    found = {}
    for name in _FOLLOWED:
        with contextlib.suppress(KeyError):
            found[name] = stack.service(name).pid
    return found
