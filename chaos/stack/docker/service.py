"""A program of the stack in a container of the pod, seen from inside the pod.

The pod shares one process table, so signals and the proof of an end work as for a plain process.
Only the engine can start the container and report its exit code, through the conductor. The
processes of a container are identified by their environment (`CHAOS_SERVICE`); its main process is
the one without a parent in the pod.
"""

import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import in_environment, is_alive, pids, processes
from chaos.base.proc import marked as processes_marked
from chaos.stack.base import CommandResult
from chaos.stack.docker.channel import Outside
from chaos.stack.process import NoProgram, Ready, StartedService
from chaos.stack.proctree import await_ended, send, tree

SERVICE_VARIABLE = "CHAOS_SERVICE"
_ENGINE_LIMIT_S = 30.0
_APPEAR_LIMIT_S = 10.0
_KILL_LIMIT_S = 5.0
_LOOK_S = 0.01
_NOT_EXECUTED = (126, 127)  # exit codes by which the engine says so: not permitted, not there
_RUNTIME_SAYS = "unable to start container process: "  # before what is wrong with the program


class ContainerService(StartedService):
    """`container`: a service of the compose files or a clone. The conductor writes `log`."""

    def __init__(
        self,
        name: str,
        container: str,
        outside: Outside,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready: Ready | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        super().__init__(name, log, stop_signal=stop_signal, ready=ready, cancel=cancel)
        self._container = container
        self._outside = outside
        self._pid: int | None = None
        self._exit_code: int | None = None

    def launch(self) -> None:
        self._exit_code = None
        try:
            self._outside.call("start", _ENGINE_LIMIT_S, service=self._container)
        except EnvironmentProblem as problem:
            state = self._outside.call("state", _ENGINE_LIMIT_S, service=self._container)
            if state["exit_code"] not in _NOT_EXECUTED:
                raise
            raise NoProgram(
                f"its program cannot be started: {problem.message.rpartition(_RUNTIME_SAYS)[2]}",
                next_step="correct the target profile, or name an image that has the program",
            ) from problem
        self._pid = self._await_main()

    def _marked(self) -> list[int]:
        """PIDs of the processes that have its mark."""
        return marked(self._container)

    def _ended_within(self, pid: int, limit_s: float) -> bool:
        return not await_ended([pid], limit_s)

    def kill(self) -> None:
        pids = sorted({*self.pids(), *self._marked()})
        send(pids, signal.SIGKILL)
        await_ended(pids, _KILL_LIMIT_S)

    def pid(self) -> int | None:
        return self._pid if self._pid is not None and is_alive(self._pid) else None

    def pids(self) -> list[int]:
        return tree(self._pid) if self._pid is not None else []

    def exit_code(self) -> int | None:
        if self._pid is None or self.alive():
            return None
        if self._exit_code is None:
            state = self._outside.call("exit_code", _ENGINE_LIMIT_S, service=self._container)
            code = state["exit_code"]
            # The engine reports 128 + n for a program that signal n ended.
            self._exit_code = 128 - code if code is not None and code > 128 else code
        return self._exit_code

    def _await_main(self) -> int:
        deadline = Deadline(_APPEAR_LIMIT_S, self._cancel)
        while True:
            pids = set(self._marked())
            for process in processes():
                if process.pid in pids and process.parent == 0:
                    return process.pid
            state = self._outside.call("state", _ENGINE_LIMIT_S, service=self._container)
            if not state["running"]:
                # A quick program may end before its process is found.
                self._exit_code = state["exit_code"]
                return _NO_PID
            if not deadline.wait(_LOOK_S):
                raise EnvironmentProblem(
                    f"the container {self._container} runs, and its process is not in the pod",
                    place=str(self.log),
                    next_step="see whether the engine shares process tables (pid: service:...)",
                )


class WitnessService(ContainerService):
    """A witness, in a container of its own. Its capabilities keep the harness from its environment.

    `mark`: a word of its command line that no other process has.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        mark: Path,
        outside: Outside,
        log: Path,
        *,
        ready: Ready,
        cancel: threading.Event,
    ) -> None:
        super().__init__(name, name, outside, log, ready=ready, cancel=cancel)
        self._argv = list(argv)
        self._mark = str(mark)

    def launch(self) -> None:
        self._outside.call("witness", _ENGINE_LIMIT_S, name=self.name, argv=self._argv)
        super().launch()

    def _marked(self) -> list[int]:
        return [process.pid for process in processes_marked(self._mark)]


_NO_PID = (1 << 31) - 1  # larger than every pid_max: a process that is never alive


def marked(container: str) -> list[int]:
    """PIDs of a container's processes, by the mark in their environment."""
    return [pid for pid in pids() if in_environment(pid, SERVICE_VARIABLE, container)]


def run_outside(outside: Outside, argv: Sequence[str], limit_s: float) -> CommandResult:
    """Run a command in the Watcher's container, or in a clone while that does not run."""
    done = outside.call("run", limit_s + _ENGINE_LIMIT_S, argv=list(argv), within_s=limit_s)
    return CommandResult(tuple(argv), done["exit_code"], done["output"], done["took_s"])
