"""What all queue faults share: planted files, the proofs, and a good request afterwards.

The effect is proven by reading each planted file back from the queue's folders: it has the planted
bytes, and the defect is found in them. The Watcher has met it when it has read the file (its access
time has changed) or taken it out of the queue. If good requests are ahead of it, that may take
longer than the hold, and recovery waits for it. After the fault a good request must be decided.
"""

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.params import Value
from chaos.faults.queue import requests
from chaos.faults.queue.folder import QueueFolder, content_of, was_read
from chaos.faults.queue.requests import Decided, dispatched
from chaos.plan.request_template import template_of
from chaos.record.recovery_paths import QUEUE_CORRUPTION, WORK_RESUMES
from chaos.record.work import PlaceName
from chaos.stack.base import Stack

End = Literal["quarantined", "archived", "once", "gone"]
LOOK_PAUSE_S = 0.05
_NAMED_MAX = 20


@dataclass(frozen=True)
class Planted:
    """One file for the queue, and what must become of it (`FaultWindow.planted`).

    `put` puts it there. `wrong` measures the defect of the file at a path ("" for none). `content`
    is None if it is no regular file, so that there are no bytes to compare.
    """

    name: str
    end: End
    put: Callable[[QueueFolder], None]
    wrong: Callable[[Path], str]
    content: bytes | None = None


@dataclass
class _Observed:
    """What the looks at one planted file have shown so far."""

    wrong: str = ""
    read: bool = False
    places: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """True if the Watcher has read it, or taken it out of the queue."""
        taken = any(place != "pending" for place in self.places)
        return bool(self.wrong) and (self.read or taken)

    def look(self, folder: QueueFolder, file: Planted) -> None:
        """Find where the file is now, and its defect there."""
        for place in folder.places(file.name):
            path = folder.path(file.name, place)
            if file.content is not None:
                if content_of(path) != file.content:
                    continue
                self.read = self.read or was_read(path)
            wrong = file.wrong(path)
            if wrong:
                self.wrong = wrong
                if place not in self.places:
                    self.places.append(place)


class QueueFault(Fault):
    """A kind says in `plan` what it plants, or overrides the steps."""

    group = "queue"
    triage_path = QUEUE_CORRUPTION
    reconnection_path = WORK_RESUMES
    recovery_limit_s = 90.0  # good requests may be ahead

    acted = False  # True if there is something to recover from
    _after = ""
    _sequence = 0
    _suffix = ".json"

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self.planted: list[Planted] = []
        self._put: list[str] = []

    # -- for kinds ----------------------------------------------------------------------------

    @abstractmethod
    def plan(self, stack: Stack) -> list[Planted]:
        """What to plant, in order."""

    def name_of(self, what: str) -> str:
        """A unique name for a planted file."""
        return f"queue_{self.fault_id}_{what}{self._suffix}"

    def body(self, stack: Stack, name: str, *, again: bool = False, **more: Any) -> dict[str, Any]:
        """The content of a good request with a unique number (`again`: the last number)."""
        self._sequence += not again
        source = f"queue_fault_{self.fault_id}"
        return requests.good(stack.target.work, name, source, self._sequence, **more)

    def good(self, stack: Stack, what: str, *, note: str = "") -> Planted:
        """A good request, which must be processed whatever else is in the queue."""
        name = self.name_of(what)
        content = requests.encoded(self.body(stack, name, note=note))
        return whole(name, "archived", content, lambda path: "a good request beside it")

    def folder(self, stack: Stack) -> QueueFolder:
        """The queue of the stack."""
        return QueueFolder(stack.workspace, stack.target.work)

    def in_force(self, folder: QueueFolder) -> bool:
        """A further condition of a kind for the effect; asked until it is true."""
        return True

    # -- the steps ----------------------------------------------------------------------------

    def available_in(self, planned: PlannedStack) -> str | None:
        work = planned.target.work
        if not work.submit.folder or not work.pending:
            return "the target names no queue of files (work.submit.folder and work.pending)"
        template_of(work, "selfplay")
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        template_of(stack.target.work, "selfplay")
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """What will be planted. It ends with the Watcher's workspace."""
        self._suffix = stack.target.work.submit.suffix
        self.planted = self.plan(stack)
        return {
            "queue": stack.target.work.submit.folder,
            "planted": {file.name: file.end for file in self.planted},
            "sha256": {
                file.name: hashlib.sha256(file.content).hexdigest()
                for file in self.planted
                if file.content is not None
            },
        }

    def inject(self, stack: Stack) -> None:
        folder = self.folder(stack)
        for file in self.planted:
            self.acted = True  # even if the first file fails
            file.put(folder)
            self.note_put(file.name)

    def note_put(self, name: str) -> None:
        """Record that this file was planted."""
        self.acted = True
        self._put.append(name)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """All planted files were read back; looks until the Watcher has met them all."""
        folder = self.folder(stack)
        observed = {file.name: _Observed() for file in self.planted}
        in_force = met = False

        def look(_: dict[str, Any]) -> bool:
            nonlocal in_force, met
            in_force = in_force or self.in_force(folder)
            for file in self.planted:
                observed[file.name].look(folder, file)
            met = all(o.met for o in observed.values())
            return met and in_force

        probe(look, deadline, LOOK_PAUSE_S)
        measured: dict[str, Any] = {
            "files": {name: asdict(o) for name, o in [*observed.items()][:_NAMED_MAX]},
            "planted": len(observed),
            "there": sum(bool(o.wrong) for o in observed.values()),
            "met": sum(o.met for o in observed.values()),
            "waiting": len(folder.pending()),
        }
        there = in_force and measured["there"] == len(observed)
        if there and met:
            measured["path_taken"] = _path_taken(*next(iter(observed.items())))
        return Evidence(there, measured)

    def recover(self, stack: Stack) -> None:
        if self.acted and not self._after:
            name = self.name_of("after")
            self.folder(stack).put(name, requests.encoded(self.body(stack, name)))
            self._after = name

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """No planted file waits, all are where they must be, the good request is decided."""
        measured: dict[str, Any] = {"planted": len(self._put)}
        if not self.acted:
            return Evidence(True, measured)
        measured["submitted_after"] = self._after
        problems: list[str] = []

        def look(measured: dict[str, Any]) -> bool:
            nonlocal problems
            problems = self.problems(stack) + self._undecided(stack, measured)
            folder = self.folder(stack)
            measured["ends"] = {name: folder.places(name) for name in self._put[:_NAMED_MAX]}
            return not problems

        evidence = probe(look, deadline, 2 * LOOK_PAUSE_S, measured)
        return evidence.plus(amiss=problems[:_NAMED_MAX]) if problems else evidence

    def problems(self, stack: Stack) -> list[str]:
        """What is not (yet) as it must be with the planted files."""
        folder = self.folder(stack)
        planted = [file for file in self.planted if file.name in self._put]
        effects: Counter[str] | None = None  # unknown where the target names no log of decisions
        if stack.target.decisions.request:
            names = [file.name for file in planted]
            decided = dispatched(stack.workspace, stack.target.decisions, names)
            effects = Counter(decision.request for decision in decided)
        problems = [
            problem
            for file in planted
            if (
                problem := ended_wrong(
                    file.end,
                    folder.places(file.name),
                    None if effects is None else effects[file.name],
                )
            )
        ]
        same = [file.name for file in planted if file.end == "once"]
        if effects is not None and same and (count := sum(effects[name] for name in same)) != 1:
            problems.append(f"{', '.join(same)} took effect {count} times")
        return problems

    def _undecided(self, stack: Stack, measured: dict[str, Any]) -> list[str]:
        decided: list[Decided] = []
        if not stack.target.decisions.request:
            done = "archived" in self.folder(stack).places(self._after)
            return [] if done else [f"{self._after} is not finished"]
        if self._after:
            decided = dispatched(stack.workspace, stack.target.decisions, [self._after])
        if not decided:
            return [f"{self._after or 'the request afterwards'} is not decided"]
        measured["decided_after"] = f"{decided[0].id} {decided[0].status}"
        return []


def ended_wrong(end: End, places: Sequence[PlaceName], effects: int | None) -> str:
    """Why a planted file is not where it must end; "" if it is. `effects` None: not known."""
    where = " and ".join(places) or "nowhere"
    if "pending" in places or "claimed" in places:
        return f"it is {where}"
    if end == "archived":
        fine = list(places) == ["archived"] and effects in (1, None)
        times = "" if effects is None else f" and took effect {effects} times"
        return "" if fine else f"a good request is {where}{times}"
    if end == "once":  # the effects of all such files are counted together
        return "" if places else "it is nowhere"
    if effects:
        return f"it took effect {effects} times, and is no good request"
    return "" if places or end == "gone" else "it is nowhere"


def whole(
    name: str,
    end: End,
    content: bytes,
    wrong: Callable[[Path], str],
    *,
    mtime_ns: int | None = None,
) -> Planted:
    """A regular file that appears in one step."""

    def put(folder: QueueFolder) -> None:
        folder.put(name, content, mtime_ns=mtime_ns)

    return Planted(name, end, put, wrong, content)


def _path_taken(name: str, observed: _Observed) -> str:
    """How the Watcher met the planted file."""
    if observed.places and observed.places[-1] != "pending":
        return f"the Watcher took {name} ({observed.wrong}): it is {observed.places[-1]}"
    return f"the Watcher read {name} ({observed.wrong}) and left it where it was"
