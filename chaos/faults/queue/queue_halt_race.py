"""queue_halt_race: the halt flag comes while a request is in work, or comes and goes.

`in_work`: the flag appears once a request is being worked off (the fault submits one, so that there
is work), and is removed after `flag`. `flicker`: it comes and goes, a little longer each time,
until the Watcher has noticed. The Watcher may end, cleanly and in time, and is then started again.
The request must be worked off once all the same. Proven by looks at the flag and by the Watcher's
end. Source: two people at one machine, and scripts that write the flag and think better of it.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Param, Value
from chaos.faults.queue.base import Planted
from chaos.faults.queue.folder import QueueFolder
from chaos.faults.queue.producer import Producer
from chaos.faults.queue.revival import Revived
from chaos.stack.base import Stack

_LOOK_S = 0.005
_FLASH_FIRST_S, _FLASH_STEP_S, _FLASH_MAX_S = 0.01, 0.02, 0.5
_FLASH_GAP_S = 0.05


class QueueHaltRace(Revived):
    """See the module."""

    name: ClassVar[str] = "queue_halt_race"
    summary: ClassVar[str] = "the halt flag comes in the middle of a request, or comes and goes"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "how",
            "text",
            "the flag comes while a request is in work, or comes and goes",
            default="in_work",
            choices=("in_work", "flicker"),
        ),
        Param(
            "flag",
            "duration",
            "how long it stays, with how=in_work",
            default=1.0,
            min=0.05,
            max=60.0,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._in_work = values["how"] == "in_work"
        self._flag_s = float(values["flag"])
        self._flag_since_s: float | None = None  # monotonic; of the last time it came
        self._halts: list[dict[str, Any]] = []
        self._producer: Producer | None = None

    def available(self, stack: Stack) -> str | None:
        """Where a Watcher runs that can be halted."""
        if stack.service("watcher").pid() is None:
            return "no Watcher runs just now that could be halted"
        if _flag_of(stack).exists():
            return "the Watcher is being halted already"
        return super().available(stack)

    def plan(self, stack: Stack) -> list[Planted]:
        """The request that is in work, or could be."""
        return [self.good(stack, "halt_race")]

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Names the flag, and what stands in it: no other flag is removed."""
        return super().undo_record(stack) | {
            "flag": stack.target.halt.flag,
            "content": self._content.decode(),
        }

    @property
    def _content(self) -> bytes:
        return json.dumps({"reason": f"{self.name} {self.fault_id}"}).encode()

    def inject(self, stack: Stack) -> None:
        """Submit the request; the flag is a thread's business."""
        super().inject(stack)
        folder, flag = self.folder(stack), _flag_of(stack)
        work = self._once if self._in_work else self._flicker
        self._producer = Producer(
            f"flag {self.fault_id}", lambda stop: work(stack, folder, flag, stop)
        )
        self._producer.start()

    def _once(self, stack: Stack, folder: QueueFolder, flag: Path, stop: threading.Event) -> None:
        while not folder.claimed():
            if stop.wait(_LOOK_S):
                return
        self._flash(flag, self._flag_s, stop)

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
        try:
            if flag.read_bytes() == self._content:
                flag.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot remove the halt flag: {error.strerror}", place=str(flag)
            ) from error

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The flag was seen; looks on until the Watcher has ended."""
        folder, flag = self.folder(stack), _flag_of(stack)
        measured: dict[str, Any] = {"flag_seen": 0, "at_work_then": [], "ended": False}
        before = False
        while True:
            there = flag.exists()
            if there and not before:
                measured["flag_seen"] += 1
                measured["at_work_then"] = folder.claimed()
            before = there
            if measured["flag_seen"] and not stack.service("watcher").alive():
                halt = self._note_end(stack)
                measured |= {"ended": True, "halt": halt}
                measured["path_taken"] = (
                    f"the Watcher ended {halt['took_s']:.1f} s after the flag came, "
                    f"exit code {halt['exit_code']}"
                )
                break
            if not deadline.wait(_LOOK_S):
                break
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
        """The flag goes. A Watcher that has noticed it may still be about to end: see `amiss`."""
        if self._producer is not None:
            self._producer.end()
            self._remove(_flag_of(stack))
        super().recover(stack)

    def amiss(self, stack: Stack) -> list[str]:
        """As ever; a Watcher that has ended is started again, and must have ended cleanly."""
        watcher = stack.service("watcher")
        if not watcher.alive():
            if not self._halts or self._started:
                self._note_end(stack)
            self._started = self.revive(stack)
        unclean = [halt for halt in self._halts if halt["exit_code"] != 0]
        return super().amiss(stack) + [
            f"halted with exit code {halt['exit_code']}" for halt in unclean
        ]

    _started = False

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """As ever, with every time that it was halted (`halts`: seconds and exit codes)."""
        evidence = super().recovered(stack, deadline)
        return Evidence(evidence.proven, evidence.measured | {"halts": self._halts})


def _flag_of(stack: Stack) -> Path:
    return stack.workspace / stack.target.halt.flag
