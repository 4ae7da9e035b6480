"""Watch a running stack: take samples, record artefacts, check guardrails and processes.

Ends the run, through the stop signal, if a guardrail trips or if a process of the stack ends that
the harness did not stop. A service of the target that ends is recorded, and the run goes on.
Must not know which soak or fault is running.
"""

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
from chaos.witness.guardrail import Guard
from chaos.witness.inspector import Inspector
from chaos.witness.sampler import Sampler
from chaos.witness.service_exits import ServiceExits

_LOOK_PERIOD_S = 1.0
_INFRASTRUCTURE = ("proxy", "llm_supervisor", "llm_relay", "wire", "witness", "wire_witness")


class Watch:
    """One thread samples at the profile's period; another checks guardrails and processes.

    `daemon` False: the Watcher is a command that comes and goes, so its exit does not end the run.
    `outages` lists the services that may be down now.
    """

    def __init__(
        self,
        stack: Stack,
        plan: Plan,
        rundir: RunDir,
        history: HistoryWriter,
        stop: StopSignal,
        *,
        daemon: bool,
        outages: Outages,
    ) -> None:
        self._stack = stack
        self._outages = outages
        self._history = history
        self._stop = stop
        self._guard = Guard(plan.guardrails, rundir.path)
        self._ended = threading.Event()
        self._exit_expected = False
        self._daemon = daemon
        self._inspector = Inspector(stack, plan, history)
        own = {name: stack.service(name) for name in plan.target.services}
        self._exits = ServiceExits(
            own, outages, history, lambda name: self.inspect(f"{name} ended by itself")
        )
        watcher = stack.service("watcher")
        sources = build_sources(
            plan.target,
            stack.workspace,
            stack.direct_llm,
            watcher.pid,
            services=_followed_pids(stack),
            write_event=history.event,
        )
        sources.append(ArtefactWatcher.of_target(plan.target, stack.workspace, history))
        self._sampler = Sampler(sources, history, plan.profile.sample_period_s)
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        """Start both threads."""
        self._sampler.start()
        self._thread.start()

    def stop(self) -> None:
        """End both threads, and record the sampler's totals."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2 * _LOOK_PERIOD_S + self._inspector.limit_s)
        self._sampler.stop()

    def inspect(self, why: str) -> None:
        """Inspect the stack, and write the result into the history (event `inspection`)."""
        self._inspector.write(why)

    def expect_exit(self) -> None:
        """Allow the Watcher to end from now on, because it is being halted."""
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
            if self._unexpected_exit():
                return
            if self._daemon and not self._exit_expected:
                self._exits.look()
            self._inspector.on_stall(self._history.now_s())

    def _unexpected_exit(self) -> bool:
        """True if a process has ended that should run; then it is recorded, and the run ends."""
        if self._exit_expected:
            return False
        watcher = self._stack.service("watcher")
        if self._daemon and not self._outages.expects("watcher") and not watcher.alive():
            code = watcher.exit_code()
            self._history.event("watcher_exit", severity="error", owner="product", exit_code=code)
            self.inspect("the Watcher ended by itself")
            self._stop.set("error", f"the Watcher ended by itself (exit code {code})")
            return True
        for name in _INFRASTRUCTURE:
            if name not in self._stack.services:
                continue
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


def _followed_pids(stack: Stack) -> dict[str, Callable[[], int | None]]:
    """A function per service of the soak that may be restarted; it returns the current PID."""
    pids = {}
    for name in ("injector", *stack.target.services):
        with contextlib.suppress(KeyError):
            pids[name] = stack.service(name).pid
    return pids
