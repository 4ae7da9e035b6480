"""Soak B's workload: ten requests lie in the queue when the Watcher starts, and are worked off.

Source: the plan, section 5: file names, types, sequence numbers, timestamps and parameters are
those of its generator. Beyond the plan, a fault that meets an empty queue gets a probe request, so
that the path under test is taken and its recovery can be timed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.plan.request_template import Wanted, template_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.waiting import LOOKS_EMPTY, drain, snapshot, unanswered
from chaos.stack.base import Stack

SOURCE = "soak_test_B"
_FIRST = datetime(2026, 2, 3, 10, 0, 0)
# Episodes of a selfplay request; a learning loop has none, but a scope.
_EPISODES = (2, 3, 2, 1, 2, None, None, None, 2, 3)
_SCOPE = "steps_3_5_6"


def ten_requests() -> list[Wanted]:
    """The plan's ten: five selfplay, three learning loops, two selfplay again."""
    requests = []
    for number, episodes in enumerate(_EPISODES, start=1):
        at = _FIRST + timedelta(minutes=number - 1)
        what = "learn 3-5-6" if episodes is None else f"selfplay {episodes}ep"
        requests.append(
            Wanted(
                name=f"soak_B_{number:02d}_{at:%Y%m%d_%H%M%S}.json",
                kind="learning_loop" if episodes is None else "selfplay",
                source=SOURCE,
                reason=f"Soak B \u2014 request {number:02d} ({what})",
                timestamp=f"{at.isoformat()}Z",
                sequence=number,
                episodes=episodes or 0,
                scope=_SCOPE,
            )
        )
    return requests


class SequentialRequests:
    """See the module."""

    name: ClassVar[str] = "sequential_requests"
    daemon: ClassVar[bool] = True

    def __init__(self, target: Target, settings: dict[str, Any], history: HistoryWriter) -> None:
        self._target = target
        self._history = history
        self._workspace: Path | None = None
        self._submitter: RequestSubmitter | None = None
        self._looks_empty = 0

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """It needs a template for each type of request."""
        for kind in ("selfplay", "learning_loop"):
            template_of(target.queue, kind)

    def stage(self, workspace: Path) -> None:
        """Note what is there before, then put the ten into the queue (the plan's step 1)."""
        self._workspace = workspace
        self._submitter = RequestSubmitter(workspace, self._target.queue, self._history)
        self._history.event("baseline_files", **snapshot(workspace, self._target))
        self._submitter.submit_all(ten_requests(), "staged")

    def start(self, stack: Stack) -> None:
        """The Watcher has begun by itself."""

    def tick(self) -> None:
        """Count how often in a row nothing was waiting."""
        self._looks_empty = 0 if self._waiting() else self._looks_empty + 1

    def done(self) -> bool:
        """Whether all requests have been answered."""
        return self._looks_empty >= LOOKS_EMPTY

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Ask for a piece of work when there is none that the fault could meet, or that could show
        its end: the last one may be at work already, and ask its LLM no more.
        """
        enough = 1 if active else 2
        if self._submitter is not None and len(self._requests()) < enough:
            self._submitter.probe(f"{'during' if active else 'after'} {fault_id}")

    def finish(self, deadline: Deadline) -> None:
        """Wait until everything is answered."""
        drain(self._waiting, self._history, deadline)

    def abort(self) -> None:
        """There is nothing to stop."""

    def _waiting(self) -> list[str]:
        return self._requests()

    def _requests(self) -> list[str]:
        """Those that are not answered yet, also the one at work."""
        if self._workspace is None:
            return []
        return unanswered(self._workspace, self._target.queue)
