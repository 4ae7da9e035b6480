"""watcher_cpu_starved: the Watcher and its child processes get a small part of one processor.

All of them are confined to one processor, on which `burners` busy processes run. Proven by a busy
process that is confined in the same way: it gets at most a tenth, and at most half of what it got
before. How long the Watcher itself waited is recorded, but proves nothing: an idle Watcher hardly
waits. No priority is changed, so no privilege is needed. Source: sched(7) "The autogroup feature",
/proc/PID/schedstat.
"""

import os
import signal
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from chaos.base import proc
from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults import program
from chaos.faults.base import Evidence, Fault
from chaos.faults.machine.lowered import not_running, probe_watcher, watcher_of
from chaos.faults.params import FaultParams, Value, number
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Stack

_BURNER = Path(__file__).with_name("burner.py")
_SHARE_PROBE = Path(__file__).with_name("share_probe.py")
_LOOK_S = 0.4  # many rounds of all burners
_LOOK_LIMIT_S = 10.0
_STARVED_PART = 0.1
_LESS_PART = 0.5
_OVERTIME_S = 60.0  # how long after their hold the burners end by themselves
_START_LIMIT_S = 5.0


class WatcherCpuStarved(Fault):
    name = "watcher_cpu_starved"
    summary = "the Watcher and what it starts get a tenth of one processor at most"
    group = "machine"
    reconnection_path = WORK_RESUMES
    affects_llm = True  # a call cannot be sent, or its answer read, in time

    class Params(FaultParams):
        burners: Annotated[int, number("processes that compete with it", 10, 200)] = 20

    params: Params

    _part_before: float | None = None
    _burning: subprocess.Popen[bytes] | None = None
    _cpus: Sequence[int] = ()

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._token = f"chaos-burner-{uuid.uuid4().hex}"

    @classmethod
    def available_here(cls) -> str | None:
        if len(os.sched_getaffinity(0)) > 1:
            return None
        return "there is only one processor, so the harness would be starved as well"

    def available(self, stack: Stack) -> str | None:
        watcher = watcher_of(stack)
        if watcher is None:
            return not_running(stack)
        if len(os.sched_getaffinity(watcher.pid)) < 2:
            return "the Watcher may use only one processor, so the harness would be starved as well"
        return self.available_here()

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        watcher = watcher_of(stack)
        if watcher is not None:
            self._cpus = sorted(os.sched_getaffinity(watcher.pid))
            self._part_before = _part_on(self._cpus)
        processes = [proc.Identity.of(pid) for pid in stack.service("watcher").pids()]
        return {
            "token": self._token,
            "cpus": self._cpus,
            "processes": [process.record() for process in processes if process is not None],
            "part_before": self._part_before,
        }

    def inject(self, stack: Stack) -> None:
        if not self._cpus:
            return  # the Watcher has ended: nothing can be proven
        cpu = self._cpus[-1]
        lifetime_s = self.params.hold + _OVERTIME_S
        # They end with this thread at the latest.
        self._burning = program.start(_BURNER, cpu, self.params.burners, lifetime_s, self._token)
        self._await_burners()
        _confine(stack.service("watcher").pids(), {cpu})

    def _await_burners(self) -> None:
        deadline = Deadline(_START_LIMIT_S)
        while len(proc.marked(self._token)) <= self.params.burners:  # one more: their parent
            if not deadline.wait(0.01):
                raise EnvironmentProblem(
                    f"{self.params.burners} processes were not started within {_START_LIMIT_S:g} s",
                    next_step="use fewer: burners=10",
                )

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(watcher: proc.Identity, measured: dict[str, Any]) -> bool:
            ran_before, waited_before = proc.scheduled_ns(watcher.pid)
            cpus = sorted(os.sched_getaffinity(watcher.pid))
            part = _part_on(cpus)
            ran, waited = proc.scheduled_ns(watcher.pid)
            measured |= {
                "cpus": len(cpus),
                "part": part,
                "watcher_ran_ms": round((ran - ran_before) / 1e6, 1),
                "watcher_waited_ms": round((waited - waited_before) / 1e6, 1),
            }
            return len(cpus) == 1 and part is not None and self._starved(part)

        before = {"part_before": self._part_before}
        return probe_watcher(stack, look, deadline, before, look_s=_LOOK_S)

    def _starved(self, part: float) -> bool:
        """At most a tenth, and clearly less than before: the machine may be busy anyway."""
        before = self._part_before
        return before is not None and part <= min(_STARVED_PART, before * _LESS_PART)

    def recover(self, stack: Stack) -> None:
        _end_marked(self._token)
        if self._burning is not None:
            program.end(self._burning)
        if self._cpus:
            _confine(stack.service("watcher").pids(), set(self._cpus))

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(watcher: proc.Identity, measured: dict[str, Any]) -> bool:
            cpus = sorted(os.sched_getaffinity(watcher.pid))
            part = _part_on(cpus)
            left = len(proc.marked(self._token))
            measured |= {"cpus": len(cpus), "part": part, "burners_left": left}
            free = part is not None and not self._starved(part)
            return free and not left and cpus == list(self._cpus)

        return probe_watcher(stack, look, deadline)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        _end_marked(str(record["token"]))
        for recorded in record["processes"]:
            process = proc.Identity.recorded(recorded)
            if process.lives():
                _confine([process.pid], {int(cpu) for cpu in record["cpus"]})


def _part_on(cpus: Sequence[int]) -> float | None:
    """The part of a processor that a busy process gets on `cpus`; None if not measured."""
    text = program.answer_of(_SHARE_PROBE, _LOOK_S, *cpus, limit_s=_LOOK_LIMIT_S)
    try:
        return float(text)
    except ValueError:
        return None


def _confine(pids: list[int], cpus: set[int]) -> None:
    """Confine all threads; twice, because threads may start meanwhile."""
    for _ in range(2):
        for pid in pids:
            proc.confine(pid, cpus)


def _end_marked(token: str) -> None:
    """SIGKILL all processes with this token, until none is left or the limit is over."""
    deadline = Deadline(_START_LIMIT_S)
    while marked := proc.marked(token):
        for process in marked:
            process.send(signal.SIGKILL)
        if not deadline.wait(0.01):
            return
