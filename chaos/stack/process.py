"""Services that are plain processes: start, stop, kill, pause, and the proof that they ended.

Each service leads a session of its own, writes into a log of its own, and carries the run's id in
its environment. Knows nothing of what the processes do.
"""

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.files import file_tail, tail_of
from chaos.base.stopping import RunStopped
from chaos.stack.base import CommandResult, Service, Stopped
from chaos.stack.proctree import await_end, await_gone, await_stopped, send, tree

_SPAWN_LIMIT_S = 10.0
_KILL_ROUNDS = 5
_KILL_LIMIT_S = 2.0
_READY_LOOK_S = 0.01
_OUTPUT_BYTES = 4096

# The kernel ties the parent-death signal to the thread that forked, so all processes are started
# by one thread that lives as long as we do.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_SETPRIV = shutil.which("setpriv")


@dataclass(frozen=True)
class Surroundings:
    """Where the programs of the stack run: working directory and environment."""

    cwd: Path
    env: Mapping[str, str]


def spawn(argv: Sequence[str], where: Surroundings, output: int) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, output into the descriptor `output`.

    It gets SIGKILL when we end. Raises `EnvironmentProblem` when it cannot be started.
    """
    wrapper = [_SETPRIV, "--pdeathsig", "KILL", "--"] if _SETPRIV else []
    program = shutil.which(argv[0], path=where.env.get("PATH"))
    if program is None:
        raise EnvironmentProblem(
            f"there is no program {argv[0]!r}", next_step="correct the target profile or install it"
        )
    return _spawner.submit(
        lambda: subprocess.Popen(
            [*wrapper, program, *argv[1:]],
            cwd=where.cwd,
            env=dict(where.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    ).result(_SPAWN_LIMIT_S)


def run_command(argv: Sequence[str], where: Surroundings, limit_s: float) -> CommandResult:
    """Run `argv` to its end, or to `limit_s`, then it and what it started is killed."""
    start_s = time.monotonic()
    with tempfile.TemporaryFile() as output:  # a pipe could be held open by what it leaves behind
        process = spawn(argv, where, output.fileno())
        code = await_end(process, limit_s)
        if code is None:
            _kill_all(process)
        took_s = time.monotonic() - start_s
        text = tail_of(output, _OUTPUT_BYTES).decode(errors="replace")
    return CommandResult(tuple(argv), code, text, took_s)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """It and what it started, again until none is left: one may be started while others die."""
    for _ in range(_KILL_ROUNDS):
        left = tree(process.pid)
        if not left:
            return
        send(left, signal.SIGKILL)
        await_end(process, _KILL_LIMIT_S)
        await_gone(left, _KILL_LIMIT_S)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of `log`; empty when it cannot be read."""
    text = file_tail(log, _OUTPUT_BYTES).decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-lines:])


class ReadyFile:
    """The file by which a program tells that it is ready: replaced, or written again, since `mark`.

    `how_to_look` is the next step in the error of a start that failed.
    """

    def __init__(self, path: Path, limit_s: float, how_to_look: str) -> None:
        self._path = path
        self._limit_s = limit_s
        self._how_to_look = how_to_look
        self._before: tuple[int, int] | None = None

    def mark(self) -> None:
        """Remember it as it is, before the start."""
        self._before = self._now()

    def await_written(self, service: Service, cancel: threading.Event) -> None:
        """Wait until `service` has written it.

        Raises `EnvironmentProblem` with the end of its log when it ends or the limit passes
        before, and `RunStopped` when `cancel` is set meanwhile.
        """
        deadline = Deadline(self._limit_s, cancel)
        while self._now() in (None, self._before):
            if not service.alive():
                raise self._not_ready(
                    service, f"ended with exit code {service.exit_code()} at its start"
                )
            if not deadline.wait(_READY_LOOK_S):
                if cancel.is_set():
                    raise RunStopped(f"stopped while {service.name} started")
                raise self._not_ready(service, f"was not ready within {self._limit_s:g} s")

    def _now(self) -> tuple[int, int] | None:
        """Changes when the file is replaced or written again; None while there is none."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_mtime_ns

    def _not_ready(self, service: Service, what: str) -> EnvironmentProblem:
        said = tail(service.log)
        return EnvironmentProblem(
            f"{service.name} {what}" + (f":\n{said}" if said else ""),
            place=str(service.log),
            next_step=f"read the log; {self._how_to_look}",
        )


class ProcessTree(ABC):
    """What can be done to a process and those it started, whoever started it."""

    @abstractmethod
    def pid(self) -> int | None:
        """The first process, while it runs."""

    @abstractmethod
    def pids(self) -> list[int]:
        """It and everything it started, as far as alive."""

    def alive(self) -> bool:
        """True if the first process runs."""
        return self.pid() is not None

    def pause(self) -> None:
        """SIGSTOP for the whole tree, again until no child was born meanwhile."""
        paused: list[int] = []
        while new := [pid for pid in self.pids() if pid not in paused]:
            send(new, signal.SIGSTOP)
            await_stopped(new)
            paused += new

    def resume(self) -> None:
        """SIGCONT for the whole tree."""
        send(self.pids(), signal.SIGCONT)


class StartedService(ProcessTree):
    """A `chaos.stack.base.Service` that is started as a program of its own.

    `start` returns once the ready file, if any, was written anew; it raises `EnvironmentProblem`
    with the end of the log when the program ends or the file's limit passes before, and
    `RunStopped` when `cancel` is set meanwhile.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready: ReadyFile | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        self._ready = ready
        self._cancel = cancel or threading.Event()

    @abstractmethod
    def launch(self) -> None:
        """Start the program; returns once its process exists."""

    @abstractmethod
    def exit_code(self) -> int | None:
        """Exit code (negative: signal) of the last start; None while it runs or never ran."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL, for it and everything it started (as a memory limit or `docker kill` does)."""

    @abstractmethod
    def _ended_within(self, pid: int, limit_s: float) -> bool:
        """Wait for the end of the first process; False when it still runs then."""

    def start(self) -> None:
        """Start it unless it is running; returns when it is ready."""
        if self.alive():
            return
        if self._ready is not None:
            self._ready.mark()
        self.launch()
        if self._ready is not None:
            self._ready.await_written(self, self._cancel)

    def stop(self, limit_s: float) -> Stopped:
        """Ask it to end, wait up to `limit_s`, then kill it; what it started is killed too."""
        pid, killed, start_s = self.pid(), False, time.monotonic()
        if pid is not None:
            send([pid], self._stop_signal)
            self.resume()  # a paused process cannot obey
            killed = not self._ended_within(pid, limit_s)
        took_s = time.monotonic() - start_s
        self.kill()
        return Stopped(self.exit_code(), took_s, killed)


class LocalService(StartedService):
    """A program of the stack as a process of ours."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        where: Surroundings,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready_file: Path | None = None,
        ready_limit_s: float = 30.0,
        cancel: threading.Event | None = None,
    ) -> None:
        by_hand = "start it by hand: " + " ".join(argv)
        ready = ReadyFile(ready_file, ready_limit_s, by_hand) if ready_file is not None else None
        super().__init__(name, log, stop_signal=stop_signal, ready=ready, cancel=cancel)
        self._argv = list(argv)
        self._where = where
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = spawn(self._argv, self._where, log.fileno())

    def _ended_within(self, pid: int, limit_s: float) -> bool:
        return self._process is None or await_end(self._process, limit_s) is not None

    def kill(self) -> None:
        if self._process is not None:
            pids = tree(self._process.pid)
            send(pids, signal.SIGKILL)
            await_end(self._process, _KILL_LIMIT_S)  # reaps it
            await_gone(pids, _KILL_LIMIT_S)

    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def pids(self) -> list[int]:
        return tree(self._process.pid) if self._process is not None else []

    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None
