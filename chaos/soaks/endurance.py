"""Soak A's workload: the daemon is mostly idle, and occasional probe requests show that it works.

Source: the plan, section 4, "Manual request injection" (the fields; one request each hour). In the
accelerated profile the next probe follows as soon as the backlog has room, so that growth can be
judged per request. A fault that starts while the queue is empty gets a probe.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.plan.request_template import Wanted, template_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.settings import number
from chaos.soaks.waiting import drain, snapshot
from chaos.stack.base import Stack

SOURCE = "soak_test_A_probe"
_REASON = "Soak test A \u2014 daemon responsiveness probe"
_EPISODES = 2
_REST_S = 3.0


class _Pace:
    """The settings: `probe_every_s` (0: whenever there is room), `probe_count` (0: unlimited), and
    `backlog_max` (no probe while so many requests wait).
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.every_s = number(settings, "probe_every_s")
        self.count = int(number(settings, "probe_count"))
        self.backlog_max = int(number(settings, "backlog_max", at_least=1))


class Endurance:
    """Submits a probe every `probe_every_s`, or whenever the backlog has room."""

    name: ClassVar[str] = "endurance"
    daemon: ClassVar[bool] = True

    def __init__(self, target: Target, settings: dict[str, Any], history: HistoryWriter) -> None:
        self._target = target
        self._history = history
        self._pace = _Pace(settings)
        self._submitter: RequestSubmitter | None = None
        self._ended = False
        self._start_s = 0.0
        self._rest_wanted = False
        self._idle_since_s: float | None = None
        self._probes = 0
        self._last_second = 0
        self._same_second = 0

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """Require a template for selfplay requests (the probes), and the three settings."""
        template_of(target.work, "selfplay")
        _Pace(settings)

    def stage(self, workspace: Path) -> None:
        """Record the starting state."""
        self._history.event("baseline_files", **snapshot(workspace, self._target))

    def start(self, stack: Stack) -> None:
        """Start the schedule of the probes."""
        self._submitter = RequestSubmitter(stack.workspace, self._target.work, self._history, stack)
        self._start_s = self._history.now_s()

    def tick(self) -> None:
        """Submit the next probe if it is due and the backlog has room."""
        pace = self._pace
        if self._submitter is None or self._ended or (pace.count and self._probes >= pace.count):
            return
        now_s, waiting = self._history.now_s(), len(self._waiting())
        if self._rest_wanted and self._still_resting(now_s, waiting):
            return
        due_s = self._start_s + (self._probes + 1) * pace.every_s
        if now_s >= due_s and waiting < pace.backlog_max:
            self._probes += 1
            self._submitter.submit(self._probe(), "endurance")

    def done(self) -> bool:
        """False: the profile's time ends this workload."""
        return False

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Submit a probe if no request waits. After a fault, pause until the stack was idle."""
        self._rest_wanted = not active
        if self._submitter is not None and not self._ended and not self._waiting():
            self._submitter.probe(f"{'during' if active else 'after'} {fault_id}")

    def finish(self, deadline: Deadline) -> None:
        """Submit no further probe, and wait until all requests are answered."""
        self.abort()
        drain(self._waiting, self._history, deadline)

    def abort(self) -> None:
        """Submit no further probe."""
        self._ended = True

    def _still_resting(self, now_s: float, waiting: int) -> bool:
        """True until the stack was idle for `_REST_S`. What it still holds then is leaked."""
        if waiting:
            self._idle_since_s = None
            return True
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        if now_s - self._idle_since_s < _REST_S:
            return True
        self._rest_wanted, self._idle_since_s = False, None
        return False

    def _probe(self) -> Wanted:
        now = datetime.now(UTC)
        second = int(now.timestamp())
        self._same_second = self._same_second + 1 if second == self._last_second else 0
        self._last_second = second
        suffix = f"_{self._same_second:02d}" if self._same_second else ""
        return Wanted(
            name=self._target.work.named(f"soak_probe_{second}{suffix}"),
            kind="selfplay",
            source=SOURCE,
            reason=_REASON,
            timestamp=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            episodes=_EPISODES,
        )

    def _waiting(self) -> list[str]:
        return [] if self._submitter is None else self._submitter.waiting()
