"""Soak C's workload: the injector adds draws, and the Watcher does everything else by itself.

Source: the plan, section 6. In addition, each fault gets two probe requests: one while it is
active, so that the code path under test is used, and one after it, so that the recovery can be
timed even if draws are rare.
"""

from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.plan.request_template import template_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.settings import number
from chaos.soaks.waiting import UNDIAGNOSED, drain, read_draws, snapshot, unanswered
from chaos.stack.base import Stack

_INJECTOR_STOP_LIMIT_S = 10.0


class AutonomousLoop:
    """Runs the injector until the end. Settings: `draw_interval_s`."""

    name: ClassVar[str] = "autonomous_loop"
    daemon: ClassVar[bool] = True

    def __init__(self, target: Target, settings: dict[str, Any], history: HistoryWriter) -> None:
        self._target = target
        self._interval_s = number(settings, "draw_interval_s")
        self._history = history
        self._stack: Stack | None = None
        self._submitter: RequestSubmitter | None = None

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """Require a template for selfplay requests (the probes), and the interval of the draws."""
        template_of(target.queue, "selfplay")
        number(settings, "draw_interval_s")

    def stage(self, workspace: Path) -> None:
        """Do nothing: no request is staged."""

    def start(self, stack: Stack) -> None:
        """Record the starting state (the plan's step 2), then start the injector."""
        self._submitter = RequestSubmitter(stack.workspace, self._target.queue, self._history)
        self._history.event("baseline_files", **snapshot(stack.workspace, self._target))
        self._stack = stack
        stack.service("injector").start()
        self._history.event("injector_started", interval_s=self._interval_s)

    def tick(self) -> None:
        """Do nothing: the injector works by itself."""

    def done(self) -> bool:
        """False: draws never end."""
        return False

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Submit one probe during the fault and one after it."""
        if self._submitter is not None:
            self._submitter.probe(f"{'during' if active else 'after'} {fault_id}")

    def finish(self, deadline: Deadline) -> None:
        """Stop the injector, then wait until the queue is empty and every draw is diagnosed."""
        stack = self._stack
        if stack is None:
            return
        self.abort()
        drain(lambda: self._waiting(stack.workspace), self._history, deadline)

    def abort(self) -> None:
        """Stop the injector. Requests and draws that wait are not waited for."""
        if self._stack is None:
            return
        stopped = self._stack.service("injector").stop(_INJECTOR_STOP_LIMIT_S)
        self._stack = None
        self._history.event(
            "injector_stopped", exit_code=stopped.exit_code, took_s=round(stopped.took_s, 3)
        )

    def _waiting(self, root: Path) -> list[str]:
        """The pending and claimed requests, and an entry for each draw without diagnostics."""
        draws = self._target.draws
        injected = sum(
            draw.get(draws.source) != draws.bootstrap_source
            for draw in read_draws(root, self._target)
        )
        diagnosed = len(list(root.glob(self._target.paths.diagnostics)))
        missing = [f"{UNDIAGNOSED} {i}" for i in range(injected - diagnosed)]
        return unanswered(root, self._target.queue) + missing
