"""A program of the stack in a container of the pod, seen from inside the pod.

The pod shares one process table, so everything but starting is done as for a plain process: the
same signals, the same proof that it ended. Starting it, and the exit code, are the engine's, asked
for through the conductor. A container's processes are known by their environment
(`CHAOS_SERVICE`), its main process as the one of them without a parent in the pod.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import CommandResult, Stopped
from chaos.stack.docker.channel import Outside
from chaos.stack.process import ProcessTree, ReadyFile
from chaos.stack.proctree import await_ended, is_alive, processes, send, tree

SERVICE_VARIABLE = "CHAOS_SERVICE"
_ENGINE_LIMIT_S = 30.0
_APPEAR_LIMIT_S = 10.0
_KILL_LIMIT_S = 5.0
_LOOK_S = 0.01


class ContainerService(ProcessTree):
    """See the module and `chaos.stack.base.Service`. `log` is written by the conductor.

    `start` returns once `ready` (if any) was written anew. Raises as `LocalService` does.
    """

    def __init__(
        self,
        name: str,
        container: str,
        outside: Outside,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready: ReadyFile | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._container = container  # the service of the compose files, or a clone's name
        self._outside = outside
        self._stop_signal = stop_signal
        self._ready = ready
        self._cancel = cancel or threading.Event()
        self._pid: int | None = None
        self._exit_code: int | None = None

    def start(self) -> None:
        """Start it unless it is running; returns when it is ready."""
        if self.alive():
            return
        if self._ready is not None:
            self._ready.mark()
        self._exit_code = None
        self._outside.call("start", _ENGINE_LIMIT_S, service=self._container)
        self._pid = self._await_main()
        if self._ready is not None:
            self._ready.await_written(self, self._cancel)

    def stop(self, limit_s: float) -> Stopped:
        """Ask it to end, wait up to `limit_s`, then kill it; what it started is killed too."""
        pid = self.pid()
        if pid is None:
            return Stopped(self.exit_code(), 0.0, killed=False)
        start_s = time.monotonic()
        send([pid], self._stop_signal)
        self.resume()  # a paused process cannot obey
        killed = bool(await_ended([pid], limit_s))
        took_s = time.monotonic() - start_s
        self.kill()
        return Stopped(self.exit_code(), took_s, killed)

    def kill(self) -> None:
        """SIGKILL, for it and everything in its container."""
        pids = sorted({*self.pids(), *marked(self._container)})
        send(pids, signal.SIGKILL)
        await_ended(pids, _KILL_LIMIT_S)

    def pid(self) -> int | None:
        """Its main process, while it runs."""
        return self._pid if self._pid is not None and is_alive(self._pid) else None

    def pids(self) -> list[int]:
        """It and everything it started, as far as alive."""
        return tree(self._pid) if self._pid is not None else []

    def exit_code(self) -> int | None:
        """Exit code (negative: signal) of the last start; None while it runs or never ran."""
        if self._pid is None or self.alive():
            return None
        if self._exit_code is None:
            told = self._outside.call("exit_code", _ENGINE_LIMIT_S, service=self._container)
            code = told["exit_code"]
            # The engine says 128 + n for a program that signal n has ended.
            self._exit_code = 128 - code if code is not None and code > 128 else code
        return self._exit_code

    def _await_main(self) -> int:
        deadline = Deadline(_APPEAR_LIMIT_S, self._cancel)
        while True:
            known = set(marked(self._container))
            for process in processes():
                if process.pid in known and process.parent == 0:
                    return process.pid
            told = self._outside.call("state", _ENGINE_LIMIT_S, service=self._container)
            if not told["running"]:
                # Over before it was seen: a program may do its work that quickly.
                self._exit_code = told["exit_code"]
                return _NO_PID
            if not deadline.wait(_LOOK_S):
                raise EnvironmentProblem(
                    f"the container {self._container} runs, and its process is not in the pod",
                    place=str(self.log),
                    next_step="see whether the engine shares process tables (pid: service:...)",
                )


_NO_PID = (1 << 31) - 1  # beyond every pid_max: a process that is never alive


def marked(container: str) -> list[int]:
    """The processes of a container, by the mark in their environment."""
    mark = f"{SERVICE_VARIABLE}={container}".encode()
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 (an entry for each costs five times as much)
        if not name.isdigit():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's: not of the stack
            continue
        if mark in environment.split(b"\0"):
            found.append(int(name))
    return found


def run_outside(outside: Outside, argv: Sequence[str], limit_s: float) -> CommandResult:
    """A command in the Watcher's container (or in one like it while that does not run)."""
    told = outside.call("run", limit_s + _ENGINE_LIMIT_S, argv=list(argv), within_s=limit_s)
    return CommandResult(tuple(argv), told["exit_code"], told["output"], told["took_s"])
