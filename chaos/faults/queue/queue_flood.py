"""queue_flood: thousands of files in the queue's folder at once; most are none of its business.

Names that the Watcher leaves alone (editors' and producers' leftovers), a few bad files and a few
good requests. Proven by counting the folder, and by each bad and good one as the other kinds do.
The leftovers are removed when the fault ends; one that the Watcher has taken is a defect. Source:
producers that never clean up.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Param, Value
from chaos.faults.queue import shapes
from chaos.faults.queue.base import Planted, QueueFault
from chaos.faults.queue.folder import QueueFolder
from chaos.stack.base import Stack

_SUFFIXES = (".json.tmp", ".json~", ".json.bak", ".json.swp")


class QueueFlood(QueueFault):
    """See the module."""

    name: ClassVar[str] = "queue_flood"
    summary: ClassVar[str] = "thousands of files in the queue's folder, few of them requests"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("files", "int", "files whose name is no request's", default=2000, min=1, max=100_000),
        Param("bad", "int", "bad requests among them", default=10, min=0, max=5000),
        Param("requests", "int", "good requests among them", default=2, min=1, max=100),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._files, self._bad = int(values["files"]), int(values["bad"])
        self._good = int(values["requests"])
        self._litter: set[str] = set()
        self._created: list[str] = []
        self._flooded = self._taken = 0

    def plan(self, stack: Stack) -> list[Planted]:
        """The bad and the good ones; what is no request is only counted."""
        queue = stack.target.queue
        bad = [self.name_of(f"flood_bad_{number:04d}") for number in range(1, self._bad + 1)]
        planted = [shapes.wrong_shape(queue, name, self.body(stack, name)) for name in bad]
        return planted + [
            self.good(stack, f"flood_good_{number:03d}") for number in range(1, self._good + 1)
        ]

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the leftovers too."""
        folder = self.folder(stack)
        stems = (f"queue_{self.fault_id}_litter_{i:05d}" for i in range(1, self._files + 1))
        names = (f"{stem}{_SUFFIXES[i % len(_SUFFIXES)]}" for i, stem in enumerate(stems))
        self._litter = {name for name in names if not folder.takes(name)}
        litter = {"count": len(self._litter), "stem": f"queue_{self.fault_id}_litter_"}
        return super().undo_record(stack) | {"litter": litter}

    def inject(self, stack: Stack) -> None:
        """The leftovers first, then what is meant for the Watcher."""
        folder = self.folder(stack)
        folder.submit.mkdir(parents=True, exist_ok=True)
        for name in sorted(self._litter):
            try:
                (folder.submit / name).write_bytes(b"{}\n")
                self._created.append(name)
            except OSError as error:
                raise EnvironmentProblem(
                    f"cannot flood the queue: {error.strerror}", place=str(folder.submit)
                ) from error
        super().inject(stack)

    def in_force(self, folder: QueueFolder) -> bool:
        """All the leftovers lie there."""
        self._flooded = max(self._flooded, len(self._litter & folder.all_names()))
        return bool(self._litter) and self._flooded == len(self._litter)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Beside what was met, the number of files."""
        evidence = super().effect(stack, deadline)
        return Evidence(evidence.proven, evidence.measured | {"leftovers": self._flooded})

    def recover(self, stack: Stack) -> None:
        """Remove the leftovers, all of which must still be there."""
        submit = self.folder(stack).submit
        while self._created:
            try:
                (submit / self._created.pop()).unlink()
            except FileNotFoundError:
                self._taken += 1
            except OSError as error:
                raise EnvironmentProblem(
                    f"cannot remove a leftover: {error.strerror}", place=str(submit)
                ) from error
        super().recover(stack)

    def amiss(self, stack: Stack) -> list[str]:
        """As ever, and none of the leftovers was taken."""
        taken = [f"the Watcher took {self._taken} leftovers"] if self._taken else []
        return super().amiss(stack) + taken
