"""queue_halt_race: the halt flag appears while a request is processed, or appears and disappears.

`in_work`: the flag appears once a request is claimed (the fault submits one), and is removed after
`flag`. `flicker`: it appears and disappears, a little longer each time, until the Watcher ends.
The Watcher may end, cleanly and in time, and is then started again. The request must be processed
once all the same. Proven by looks at the flag and by the Watcher's end.
Source: two people at one machine, and scripts that write the flag and remove it again.
"""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.faults.base import Evidence, PlannedStack, probe
from chaos.faults.params import FaultParams, Value, duration, text
from chaos.faults.queue.base import Planted
from chaos.faults.queue.folder import QueueFolder
from chaos.faults.queue.producer import Producer
from chaos.faults.queue.revival import Revived
from chaos.stack.base import Stack

_LOOK_S = 0.005
_FLASH_FIRST_S, _FLASH_STEP_S, _FLASH_MAX_S = 0.01, 0.02, 0.5
_FLASH_GAP_S = 0.05


class QueueHaltRace(Revived):
    name = "queue_halt_race"
    summary = "the halt flag comes in the middle of a request, or comes and goes"

    class Params(FaultParams):
        how: Annotated[
            Literal["in_work", "flicker"],
            text("the flag appears while a request is processed, or comes and goes"),
        ] = "in_work"
        flag: Annotated[float, duration("how long it stays, with how=in_work", 0.05, 60.0)] = 1.0

    params: Params

    _flag_since_s: float | None = None  # monotonic; when it last appeared
    _producer: Producer | None = None
    _started = False

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._halts: list[dict[str, Any]] = []

    def available_in(self, planned: PlannedStack) -> str | None:
        if not planned.target.halt_flags:
            return "the target names no halt flag (halt.flags)"
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        if stack.service("watcher").pid() is None:
            return "no Watcher runs just now"
        if _flag_of(stack).exists():
            return "the Watcher is being halted already"
        return super().available(stack)

    def plan(self, stack: Stack) -> list[Planted]:
        return [self.good(stack, "halt_race")]

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        return super().undo_record(stack) | {
            "flag": stack.target.halt_flags[0],
            "content": self._content.decode(),
        }

    @property
    def _content(self) -> bytes:
        return json.dumps({"reason": f"{self.name} {self.fault_id}"}).encode()

    def inject(self, stack: Stack) -> None:
        super().inject(stack)
        folder, flag = self.folder(stack), _flag_of(stack)
        work = self._once if self.params.how == "in_work" else self._flicker
        self._producer = Producer(
            f"flag {self.fault_id}", lambda stop: work(stack, folder, flag, stop)
        )
        self._producer.start()

    def _once(self, stack: Stack, folder: QueueFolder, flag: Path, stop: threading.Event) -> None:
        while not folder.claimed():
            if stop.wait(_LOOK_S):
                return
        self._flash(flag, self.params.flag, stop)

    def _flicker(
        self, stack: Stack, folder: QueueFolder, flag: Path, stop: threading.Event
    ) -> None:
        length_s = _FLASH_FIRST_S
        while stack.service("watcher").alive() and not stop.is_set():
            self._flash(flag, length_s, stop)
            length_s = min(length_s + _FLASH_STEP_S, _FLASH_MAX_S)
            stop.wait(_FLASH_GAP_S)

    def _flash(self, flag: Path, length_s: float, stop: threading.Event) -> None:
        self._flag_since_s = time.monotonic()
        flag.write_bytes(self._content)
        try:
            stop.wait(length_s)
        finally:
            self._remove(flag)

    def _remove(self, flag: Path) -> None:
        with os_errors_told("cannot remove the halt flag", flag), suppress(FileNotFoundError):
            if flag.read_bytes() == self._content:
                flag.unlink()

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        folder, flag = self.folder(stack), _flag_of(stack)
        before = False

        def look(measured: dict[str, Any]) -> bool:
            nonlocal before
            there = flag.exists()
            if there and not before:
                measured["flag_seen"] += 1
                measured["at_work_then"] = folder.claimed()
            before = there
            if not measured["flag_seen"] or stack.service("watcher").alive():
                return False
            halt = self._note_end(stack)
            measured |= {"ended": True, "halt": halt}
            measured["path_taken"] = (
                f"the Watcher ended {halt['took_s']:.1f} s after the flag came, "
                f"exit code {halt['exit_code']}"
            )
            return True

        nothing_seen = {"flag_seen": 0, "at_work_then": [], "ended": False}
        measured = probe(look, deadline, _LOOK_S, nothing_seen).measured
        return Evidence(bool(measured["flag_seen"]), measured)

    def _note_end(self, stack: Stack) -> dict[str, Any]:
        since_s = self._flag_since_s or time.monotonic()
        halt = {
            "took_s": round(time.monotonic() - since_s, 3),
            "exit_code": stack.service("watcher").exit_code(),
        }
        self._halts.append(halt)
        return halt

    def recover(self, stack: Stack) -> None:
        if self._producer is not None:
            self._producer.end()
            self._remove(_flag_of(stack))
        super().recover(stack)

    def problems(self, stack: Stack) -> list[str]:
        watcher = stack.service("watcher")
        if not watcher.alive():
            if not self._halts or self._started:
                self._note_end(stack)
            self._started = self.revive(stack)
        unclean = [halt for halt in self._halts if halt["exit_code"] != 0]
        return super().problems(stack) + [
            f"halted with exit code {halt['exit_code']}" for halt in unclean
        ]

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        return super().recovered(stack, deadline).plus(halts=self._halts)


def _flag_of(stack: Stack) -> Path:
    return stack.workspace / stack.target.halt_flags[0]
