"""queue_stale_lock: the Watcher is killed, and its lock file is stale.

The lock names a process that has ended, or a number that another process now has, or it is garbage.
Proven while no Watcher runs, by reading the lock back and asking the kernel for that process. The
Watcher has met it when a new one runs and the lock names it. Source: every daemon with a PID file.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.base.errors import os_errors_told
from chaos.base.files import file_tail, json_object
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, PlannedStack, probe
from chaos.faults.params import FaultParams, duration, text
from chaos.faults.queue.base import LOOK_PAUSE_S, Planted
from chaos.faults.queue.revival import Revived
from chaos.record.pid_file import named_process, plain_pid
from chaos.record.target import Instance
from chaos.stack.base import Stack

_NO_LOCK = "the target does not name a lock; add `instance` to its profile"
_GARBAGE = b'{"pid": 99'
_LOCK_BYTES_MAX = 1 << 20


class QueueStaleLock(Revived):
    name = "queue_stale_lock"
    summary = "the Watcher is killed; its lock names a dead or another process"

    class Params(FaultParams):
        hold: Annotated[float, duration("how long the Watcher stays away", 0.5, 3600.0)] = 3.0
        how: Annotated[
            Literal["dead_pid", "reused_pid", "garbage"],
            text("the lock names a dead process, a living one that is no Watcher, or is garbage"),
        ] = "reused_pid"

    params: Params

    _old_pid = 0
    _old_ticks: int | None = None

    def available_in(self, planned: PlannedStack) -> str | None:
        return _NO_LOCK if planned.target.instance is None else super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        if stack.target.instance is None:
            return _NO_LOCK
        if stack.service("watcher").pid() is None:
            return "no Watcher runs just now"
        return super().available(stack)

    def plan(self, stack: Stack) -> list[Planted]:
        return []

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self._old_pid = stack.service("watcher").pid() or 0
        self._old_ticks = _started(self._old_pid)
        record = super().undo_record(stack)
        instance = _instance(stack)
        return record | {"lock": instance.pid_file, "pid": self._old_pid, "start": self._old_ticks}

    def inject(self, stack: Stack) -> None:
        self.acted = True
        stack.service("watcher").kill()
        instance = _instance(stack)
        path = stack.workspace / instance.pid_file
        content = _GARBAGE
        if self.params.how != "garbage":
            holder = self._old_pid
            if self.params.how == "reused_pid":
                holder = stack.service("proxy").pid() or os.getpid()
            content = _naming(holder, self._old_ticks, instance, _content(path))
        with os_errors_told("cannot write the lock", path):
            path.write_bytes(content)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            measured |= self._lock_now(stack)
            stale = measured["there"] and not measured["names_the_watcher"]
            return stale and measured["watcher"] is None

        return probe(look, deadline, LOOK_PAUSE_S)

    def _lock_now(self, stack: Stack) -> dict[str, Any]:
        instance = _instance(stack)
        path = stack.workspace / instance.pid_file
        named, said_ticks = named_process(_content(path), instance)
        ticks = None if named is None else _started(named)
        recorded_ticks = said_ticks if instance.start_ticks else ticks
        watcher = stack.service("watcher").pid()
        return {
            "there": path.exists(),
            "readable": named is not None,
            "pid": named,
            "that_process_lives": ticks is not None,
            "started_as_told": ticks is not None and ticks == recorded_ticks,
            "watcher": watcher,
            "names_the_watcher": watcher is not None
            and named == watcher
            and ticks == recorded_ticks,
        }

    def recover(self, stack: Stack) -> None:
        if self.acted:
            self.revive(stack)
        super().recover(stack)

    def problems(self, stack: Stack) -> list[str]:
        now = self._lock_now(stack)
        mine = now["names_the_watcher"] and now["watcher"] != self._old_pid
        return super().problems(stack) + (
            [] if mine else ["the lock does not name the new Watcher"]
        )

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        evidence = super().recovered(stack, deadline)
        if not evidence.proven or not self.acted:
            return evidence
        pid = stack.service("watcher").pid()
        path_taken = f"Watcher {pid} took the lock over, and decided a request"
        return evidence.plus(path_taken=path_taken, lock=self._lock_now(stack))


def _instance(stack: Stack) -> Instance:
    assert stack.target.instance is not None  # see `available`
    return stack.target.instance


def _started(pid: int) -> int | None:
    """When this process started (clock ticks since boot); None if there is none."""
    process = Identity.of(pid)
    return None if process is None else process.start_ticks


def _content(path: Path) -> bytes:
    return file_tail(path, _LOCK_BYTES_MAX)


def _naming(pid: int, ticks: int | None, instance: Instance, before: bytes) -> bytes:
    """A lock that names this process, in the form of the one `before`."""
    if not instance.pid or plain_pid(before) is not None:
        return f"{pid}\n".encode()
    entry = {**json_object(before), instance.pid: pid}
    if instance.start_ticks:
        entry[instance.start_ticks] = ticks
    return json.dumps(entry).encode()
