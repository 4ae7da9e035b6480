"""watcher_cpu_starved: the Watcher and what it starts get a small part of one processor.

The whole tree is confined to one processor, and `burners` processes that always want to run are
put upon it. Proven by a process that is confined as the Watcher is, and wants to run all the
time: it gets at most a tenth, and at most half of what it got before. How long the Watcher itself
had to wait is noted (an idle one hardly wants to run, and then hardly waits). Needs no privilege:
nobody's priority is changed. Source: sched(7) "The autogroup feature", /proc/PID/schedstat.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Fault, Group, Param, Value
from chaos.faults.machine.lowered import PROBE_PAUSE_S, not_running, watcher_of
from chaos.faults.machine.script import answer_of, argv_of
from chaos.faults.process.identity import Identity
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Stack

_PROC = Path("/proc")
_LOOK_S = 0.4  # many rounds of all burners
_LOOK_LIMIT_S = 10.0
_STARVED_PART = 0.1
_LESS_PART = 0.5
_OUTLIVES_S = 60.0  # then burners end by themselves, whatever has become of us
_START_LIMIT_S = 5.0


class WatcherCpuStarved(Fault):
    """See the module."""

    name: ClassVar[str] = "watcher_cpu_starved"
    summary: ClassVar[str] = "the Watcher and what it starts get a tenth of one processor at most"
    group: ClassVar[Group] = "machine"
    reconnection_path: ClassVar[str] = WORK_RESUMES
    # What cannot run cannot send its call in time, nor take in the answer.
    affects_llm: ClassVar[bool] = True
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "burners",
            "int",
            "processes that compete with it",
            default=20,
            min=10,
            max=200,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._burners = int(values["burners"])
        self._lifetime_s = float(values.get("hold", 0.0)) + _OUTLIVES_S
        self._token = f"chaos-burner-{uuid.uuid4().hex}"
        self._cpus: list[int] = []
        self._part_before: float | None = None
        self._burning: subprocess.Popen[bytes] | None = None

    @classmethod
    def available_here(cls) -> str | None:
        """With more than one processor: the harness needs one to see what happens."""
        if len(os.sched_getaffinity(0)) > 1:
            return None
        return "there is one processor only, and the harness would be starved with the Watcher"

    def available(self, stack: Stack) -> str | None:
        """Where the Watcher runs, and may run on more than one processor."""
        watcher = watcher_of(stack)
        if watcher is None:
            return not_running(stack)
        if len(os.sched_getaffinity(watcher.pid)) < 2:
            return "the Watcher may use one processor only, and so would the harness"
        return self.available_here()

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """Where each process of the tree may run, the mark of the burners, the part it gets."""
        watcher = watcher_of(stack)
        if watcher is not None:
            self._cpus = sorted(os.sched_getaffinity(watcher.pid))
            self._part_before = _part_on(self._cpus)
        tree = [Identity.of(pid) for pid in stack.service("watcher").pids()]
        return {
            "token": self._token,
            "cpus": self._cpus,
            "processes": [one.record() for one in tree if one is not None],
            "part_before": self._part_before,
        }

    def inject(self, stack: Stack) -> None:
        """Start the burners, then drive the Watcher upon their processor."""
        if not self._cpus:
            return  # it ended since: there is nothing to be proven
        cpu = self._cpus[-1]
        words = (cpu, self._burners, self._lifetime_s, self._token)
        # They die with this thread at the latest, which lives until they are ended.
        self._burning = subprocess.Popen(
            argv_of("burner.py", words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._await_burners()
        _confine(stack.service("watcher").pids(), {cpu})

    def _await_burners(self) -> None:
        deadline = Deadline(_START_LIMIT_S)
        while len(_marked(self._token)) <= self._burners:  # them, and the one that started them
            if not deadline.wait(0.01):
                raise EnvironmentProblem(
                    f"{self._burners} processes were not started within {_START_LIMIT_S:g} s",
                    next_step="use fewer: burners=10",
                )

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Where the Watcher may run there is a tenth of a processor at most to be had."""
        measured: dict[str, Any] = {"attempts": 0, "part_before": self._part_before}
        while deadline.left_s() > _LOOK_S:
            measured["attempts"] += 1
            watcher = watcher_of(stack)
            if watcher is None:
                measured["watcher"] = "has ended"
            else:
                ran, waited = _scheduled(watcher)
                cpus = sorted(os.sched_getaffinity(watcher.pid))
                part = _part_on(cpus)
                ran, waited = _scheduled(watcher)[0] - ran, _scheduled(watcher)[1] - waited
                measured |= {
                    "cpus": len(cpus),
                    "part": part,
                    "watcher_ran_ms": round(ran / 1e6, 1),
                    "watcher_waited_ms": round(waited / 1e6, 1),
                }
                if len(cpus) == 1 and part is not None and self._starved(part):
                    return Evidence(True, measured)
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)

    def _starved(self, part: float) -> bool:
        """A tenth at most; and clearly less than before, for the machine may be busy anyway."""
        before = self._part_before
        return before is not None and part <= min(_STARVED_PART, before * _LESS_PART)

    def recover(self, stack: Stack) -> None:
        """End the burners, then let the Watcher run anywhere again. May be called twice."""
        _end_marked(self._token)
        if self._burning is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._burning.wait(_START_LIMIT_S)
        if self._cpus:
            _confine(stack.service("watcher").pids(), set(self._cpus))

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """The Watcher may run where it could, and there is time to be had there."""
        measured: dict[str, Any] = {"attempts": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            watcher = watcher_of(stack)
            if watcher is None:
                measured["watcher"] = "has ended"
            else:
                cpus = sorted(os.sched_getaffinity(watcher.pid))
                part = _part_on(cpus)
                left = len(_marked(self._token))
                measured |= {"cpus": len(cpus), "part": part, "burners_left": left}
                free = part is not None and not self._starved(part)
                if free and not left and cpus == self._cpus:
                    return Evidence(True, measured)
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        """End the burners that carry the mark; let the processes recorded run anywhere again."""
        _end_marked(str(record["token"]))
        for one in record["processes"]:
            process = Identity(int(one["pid"]), int(one["start_ticks"]))
            if process.lives():
                _confine([process.pid], {int(cpu) for cpu in record["cpus"]})


def _part_on(cpus: list[int]) -> float | None:
    """The part of a processor that a busy process gets on `cpus`; None when nobody knows."""
    text = answer_of("share_probe.py", (_LOOK_S, *cpus), _LOOK_LIMIT_S)
    try:
        return float(text)
    except ValueError:
        return None


def _confine(pids: list[int], cpus: set[int]) -> None:
    """Every thread of these; once more for those that were born meanwhile."""
    for _ in range(2):
        for pid in pids:
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(int(task), cpus)


def _scheduled(process: Identity) -> tuple[int, int]:
    """(ns it ran, ns it wanted to and waited) of its first thread; zeros when nobody knows."""
    try:
        words = (_PROC / str(process.pid) / "schedstat").read_text(encoding="ascii").split()
    except OSError:
        return 0, 0
    return int(words[0]), int(words[1])


def _marked(token: str) -> list[Identity]:
    """Processes that carry the mark as a word of their command line."""
    wanted, found = token.encode(), []
    for name in os.listdir(_PROC):  # noqa: PTH208
        process = Identity.of(int(name)) if name.isdigit() else None
        if process is not None and wanted in process.command().split(b"\0"):
            found.append(process)
    return found


def _end_marked(token: str) -> None:
    """SIGKILL for them, until none is left (bounded)."""
    deadline = Deadline(_START_LIMIT_S)
    while marked := _marked(token):
        for process in marked:
            process.send(signal.SIGKILL)
        if not deadline.wait(0.01):
            return
