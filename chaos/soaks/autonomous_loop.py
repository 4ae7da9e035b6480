"""Soak C's workload: a source of events feeds the daemon, which does everything else by itself.

Source: the plan, section 6. The source is the target's injector. A target without one is fed by
this workload: a request at fixed times, whether or not the ones before are answered (open loop).
In addition, each fault gets two probe requests: one while it is active, so that the code path
under test is used, and one after it, so that the recovery can be timed even if events are rare.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.files import matching, select
from chaos.plan.request_template import Wanted, template_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.settings import number
from chaos.soaks.waiting import UNDIAGNOSED, drain, read_draws, snapshot
from chaos.stack.base import Stack

SOURCE = "soak_feed"
_INJECTOR_STOP_LIMIT_S = 10.0
_KINDS = ("selfplay", "selfplay", "learning_loop")
# The last event may still become a request, at the next look of whoever makes requests of events.
_QUIET_POLLS = 2.0


class AutonomousLoop:
    """Runs the injector until the end, or feeds the daemon. Settings: `draw_interval_s`."""

    name: ClassVar[str] = "autonomous_loop"
    daemon: ClassVar[bool] = True

    def __init__(self, target: Target, settings: dict[str, Any], history: HistoryWriter) -> None:
        self._target = target
        self._interval_s = number(settings, "draw_interval_s")
        self._history = history
        self._stack: Stack | None = None
        self._submitter: RequestSubmitter | None = None
        self._start_s = 0.0
        self._fed = 0

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """Require a template for selfplay requests (the probes), and the interval of events."""
        template_of(target.work, "selfplay")
        number(settings, "draw_interval_s")

    def stage(self, workspace: Path) -> None:
        """Do nothing: no request is staged."""

    def start(self, stack: Stack) -> None:
        """Record the starting state (the plan's step 2), then start the source of events."""
        self._submitter = RequestSubmitter(stack.workspace, self._target.work, self._history, stack)
        self._history.event("baseline_files", **snapshot(stack.workspace, self._target))
        self._stack = stack
        self._start_s = self._history.now_s()
        if self._target.injector is not None:
            stack.service("injector").start()
            self._history.event("injector_started", interval_s=self._interval_s)

    def tick(self) -> None:
        """Submit the next request if it is due; nothing where an injector feeds the daemon."""
        if self._stack is None or self._submitter is None or self._target.injector is not None:
            return
        if self._history.now_s() >= self._start_s + self._fed * self._interval_s:
            self._fed += 1
            self._submitter.submit(
                Wanted(
                    name=self._target.work.named(f"feed_{self._fed:05d}"),
                    kind=_KINDS[self._fed % len(_KINDS)],
                    source=SOURCE,
                    reason="Soak C \u2014 sustained load",
                    timestamp=datetime.now(UTC).isoformat(),
                    sequence=self._fed,
                ),
                "feed",
            )

    def done(self) -> bool:
        """False: events never end."""
        return False

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Submit one probe during the fault and one after it."""
        if self._submitter is not None:
            self._submitter.probe(f"{'during' if active else 'after'} {fault_id}")

    def finish(self, deadline: Deadline) -> None:
        """Stop the source, then wait until all is answered and every draw is diagnosed."""
        stack = self._stack
        if stack is None:
            return
        self.abort()
        quiet_s = _QUIET_POLLS * self._target.poll_interval_s
        drain(lambda: self._waiting(stack.workspace), self._history, deadline, quiet_s)

    def abort(self) -> None:
        """Stop the source. Requests and draws that wait are not waited for."""
        stack, self._stack = self._stack, None
        if stack is None or self._target.injector is None:
            return
        stopped = stack.service("injector").stop(_INJECTOR_STOP_LIMIT_S)
        self._history.event(
            "injector_stopped", exit_code=stopped.exit_code, took_s=round(stopped.took_s, 3)
        )

    def _waiting(self, root: Path) -> list[str]:
        """The unanswered requests, and an entry for each draw without diagnostics."""
        missing: list[str] = []
        before, origin = self._target.draws.bootstrap_source, self._target.draw_log.origin
        if self._target.paths.diagnostics and before and origin:
            draws = read_draws(root, self._target) or []
            injected = sum(select(draw, origin) != before for draw in draws)
            diagnosed = len(matching(root, self._target.paths.diagnostics))
            missing = [f"{UNDIAGNOSED} {i}" for i in range(injected - diagnosed)]
        return ([] if self._submitter is None else self._submitter.waiting()) + missing
