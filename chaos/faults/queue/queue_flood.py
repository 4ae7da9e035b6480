"""queue_flood: thousands of files in the queue's folder at once, most of them no requests.

Leftovers of editors and producers, whose names the Watcher must ignore, a few bad files and a few
good requests. Proven by counting the leftovers, and by reading back the bad and good files. The
leftovers are removed when the fault ends; it is a defect if the Watcher has taken one.
Source: producers that never clean up.
"""

from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.faults.base import Evidence, PlannedStack
from chaos.faults.params import FaultParams, Value, number
from chaos.faults.queue import shapes
from chaos.faults.queue.base import Planted, QueueFault
from chaos.faults.queue.folder import QueueFolder
from chaos.stack.base import Stack

_ENDS = (".tmp", "~", ".bak", ".swp")  # after the name of a request


class QueueFlood(QueueFault):
    name = "queue_flood"
    summary = "thousands of files in the queue's folder, few of them requests"

    class Params(FaultParams):
        files: Annotated[int, number("files that are no requests, by name", 1, 100_000)] = 2000
        bad: Annotated[int, number("bad requests among them", 0, 5000)] = 10
        requests: Annotated[int, number("good requests among them", 1, 100)] = 2

    params: Params

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._litter: set[str] = set()
        self._created: list[str] = []
        self._flooded = self._taken = 0

    def available_in(self, planned: PlannedStack) -> str | None:
        work = planned.target.work
        reason = super().available_in(planned)
        folder, name = QueueFolder(Path(), work), work.named("leftover")
        if reason is None and all(folder.takes(name + end) for end in _ENDS):
            return "work.pending takes any file for a request, also one that a producer left"
        return reason

    def plan(self, stack: Stack) -> list[Planted]:
        queue = stack.target.work
        bad = [self.name_of(f"flood_bad_{number:04d}") for number in range(1, self.params.bad + 1)]
        planted = [shapes.wrong_shape(queue, name, self.body(stack, name)) for name in bad]
        return planted + [
            self.good(stack, f"flood_good_{number:03d}")
            for number in range(1, self.params.requests + 1)
        ]

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        folder = self.folder(stack)
        stems = (f"queue_{self.fault_id}_litter_{i:05d}" for i in range(1, self.params.files + 1))
        suffix = stack.target.work.submit.suffix
        names = (f"{stem}{suffix}{_ENDS[i % len(_ENDS)]}" for i, stem in enumerate(stems))
        self._litter = {name for name in names if not folder.takes(name)}
        litter = {"count": len(self._litter), "stem": f"queue_{self.fault_id}_litter_"}
        return super().undo_record(stack) | {"litter": litter}

    def inject(self, stack: Stack) -> None:
        folder = self.folder(stack)
        folder.submit.mkdir(parents=True, exist_ok=True)
        with os_errors_told("cannot flood the queue", folder.submit):
            for name in sorted(self._litter):
                (folder.submit / name).write_bytes(b"{}\n")
                self._created.append(name)
        super().inject(stack)

    def in_force(self, folder: QueueFolder) -> bool:
        self._flooded = max(self._flooded, len(self._litter & folder.all_names()))
        return bool(self._litter) and self._flooded == len(self._litter)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        return super().effect(stack, deadline).plus(leftovers=self._flooded)

    def recover(self, stack: Stack) -> None:
        submit = self.folder(stack).submit
        with os_errors_told("cannot remove a leftover", submit):
            while self._created:
                try:
                    (submit / self._created.pop()).unlink()
                except FileNotFoundError:
                    self._taken += 1
        super().recover(stack)

    def problems(self, stack: Stack) -> list[str]:
        taken = [f"the Watcher took {self._taken} leftovers"] if self._taken else []
        return super().problems(stack) + taken
