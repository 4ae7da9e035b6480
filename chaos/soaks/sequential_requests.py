"""Soak B's workload: ten requests are in the queue when the Watcher starts, which processes them.

Source: the plan, section 5. File names, types, sequence numbers, timestamps and parameters are
those of its generator. In addition, a fault that starts while the queue is empty gets a probe
request, so that the code path under test is used and the recovery can be timed.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.plan.request_template import Wanted, template_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.record.work import Work
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.waiting import EMPTY_POLLS_MIN, drain, snapshot
from chaos.stack.base import Stack

SOURCE = "soak_test_B"
_FIRST = datetime(2026, 2, 3, 10, 0, 0)
# Number of episodes of each selfplay request; None: a learning loop, which has a scope instead.
_EPISODES = (2, 3, 2, 1, 2, None, None, None, 2, 3)
_SCOPE = "steps_3_5_6"


def ten_requests(work: Work) -> list[Wanted]:
    """The plan's ten requests: five selfplay, three learning loops, two selfplay."""
    requests = []
    for number, episodes in enumerate(_EPISODES, start=1):
        at = _FIRST + timedelta(minutes=number - 1)
        task = "learn 3-5-6" if episodes is None else f"selfplay {episodes}ep"
        requests.append(
            Wanted(
                name=work.named(f"soak_B_{number:02d}_{at:%Y%m%d_%H%M%S}"),
                kind="learning_loop" if episodes is None else "selfplay",
                source=SOURCE,
                reason=f"Soak B \u2014 request {number:02d} ({task})",
                timestamp=f"{at.isoformat()}Z",
                sequence=number,
                episodes=episodes or 0,
                scope=_SCOPE,
            )
        )
    return requests


class SequentialRequests:
    """Stages the ten requests, and is done when all are answered. Has no settings."""

    name: ClassVar[str] = "sequential_requests"
    daemon: ClassVar[bool] = True

    def __init__(self, target: Target, settings: dict[str, Any], history: HistoryWriter) -> None:
        self._target = target
        self._settings = settings
        self._history = history
        self._submitter: RequestSubmitter | None = None
        self._empty_polls = 0

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """Require a template for each request type."""
        for kind in ("selfplay", "learning_loop"):
            template_of(target.work, kind)

    def requests(self) -> list[Wanted]:
        """What is submitted, in order."""
        return ten_requests(self._target.work)

    def stage(self, workspace: Path) -> None:
        """Record the starting state, then submit the ten requests (the plan's step 1).

        Requests that are no files need a daemon that runs: they are submitted at the start.
        """
        self._history.event("baseline_files", **snapshot(workspace, self._target))
        if self._target.work.submit.folder:
            self._submitter = RequestSubmitter(workspace, self._target.work, self._history)
            self._submitter.submit_all(self.requests(), "staged")

    def start(self, stack: Stack) -> None:
        """Submit the ten requests unless they are files, which the daemon has found already."""
        if self._submitter is None:
            self._submitter = RequestSubmitter(
                stack.workspace, self._target.work, self._history, stack
            )
            self._submitter.submit_all(self.requests(), "staged")

    def tick(self) -> None:
        """Count how often in a row no request was waiting."""
        self._empty_polls = 0 if self._waiting() else self._empty_polls + 1

    def done(self) -> bool:
        """True if no request was waiting `EMPTY_POLLS_MIN` times in a row."""
        return self._empty_polls >= EMPTY_POLLS_MIN

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Submit a probe if too few requests are left to use the path that the fault breaks.

        One is enough during a fault. After it two are needed, because the one in progress may make
        no further LLM call.
        """
        enough = 1 if active else 2
        if self._submitter is not None and len(self._requests()) < enough:
            self._submitter.probe(f"{'during' if active else 'after'} {fault_id}")

    def finish(self, deadline: Deadline) -> None:
        """Wait until all requests are answered."""
        drain(self._waiting, self._history, deadline)

    def abort(self) -> None:
        """Do nothing: all requests were submitted at the start."""

    def _waiting(self) -> list[str]:
        return self._requests()

    def _requests(self) -> list[str]:
        """The requests that are not answered yet, including the one in progress."""
        return [] if self._submitter is None else self._submitter.waiting()
