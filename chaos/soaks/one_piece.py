"""One piece of work: what each run of a sweep submits, at once or when its fault is there."""

from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import unknown_name
from chaos.plan.request_template import PLAN_KINDS, Wanted
from chaos.record.target import Target
from chaos.soaks.requests import RequestSubmitter
from chaos.soaks.sequential_requests import SequentialRequests
from chaos.soaks.waiting import drain, snapshot
from chaos.stack.base import Stack

SOURCE = "sweep"
NAME = "sweep_piece"
# The same in every run, so that the paths in which it stands can be compared.
_TIMESTAMP = "2026-02-03T10:00:00Z"
_WHEN = ("start", "fault")
_POLL_S = 0.1


class OnePiece(SequentialRequests):
    """Settings: `work_kind`, and `submit_at`: `start`, or `fault` (when it has been injected)."""

    name: ClassVar[str] = "one_piece"

    @classmethod
    def check(cls, target: Target, settings: dict[str, Any]) -> None:
        """The kind must be one that the target has."""
        if settings.get("submit_at") not in _WHEN:
            raise unknown_name(
                "moment", str(settings.get("submit_at")), _WHEN, place="settings.submit_at"
            )
        kinds, kind = list(target.work.kinds) or [PLAN_KINDS[0]], str(settings.get("work_kind"))
        if kind not in kinds:
            raise unknown_name("kind of work", kind, kinds, place="settings.work_kind")

    def requests(self) -> list[Wanted]:
        """The piece, with the same name and time stamp in every run."""
        kind = str(self._settings["work_kind"])
        wanted = Wanted(
            name=self._target.work.named(NAME),
            kind=kind,
            source=SOURCE,
            reason="one piece of work",
            timestamp=_TIMESTAMP,
            sequence=1,
            scope="steps_3_5_6" if kind == PLAN_KINDS[1] else "",
        )
        return [wanted]

    def stage(self, workspace: Any) -> None:
        """Record the starting state; unlike soak B, put nothing into the queue yet."""
        self._history.event("baseline_files", **snapshot(workspace, self._target))

    def start(self, stack: Stack) -> None:
        """Submit it, unless a fault is waited for."""
        self._idle = RequestSubmitter(stack.workspace, self._target.work, self._history, stack)
        if self._settings["submit_at"] == "start":
            self._submit()

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Submit it when the first fault comes; nothing is ever added."""
        if self._submitter is None:
            self._submit()

    def _submit(self) -> None:
        self._submitter = self._idle
        self._submitter.submit_all(self.requests(), "piece")

    def finish(self, deadline: Deadline) -> None:
        """Wait until it is answered; it alone can be waiting, so the look is cheap and frequent."""
        drain(self._waiting, self._history, deadline, poll_s=_POLL_S)

    def done(self) -> bool:
        """True if it was submitted and is answered."""
        return self._submitter is not None and super().done()
