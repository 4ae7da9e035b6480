"""Services that are plain processes: start, stop, kill and pause them, and verify their end.

Each service leads its own session, writes its own log, and has the run's id in its environment.
Knows nothing of what the processes do.
"""

import shutil
import signal
import subprocess
import tempfile
import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.files import file_tail, file_version, tail_of
from chaos.base.proc import dying_with_us
from chaos.base.stopping import RunStopped
from chaos.sandbox.enter import hidden_by_sandbox
from chaos.stack.base import CommandResult, Service, Stopped
from chaos.stack.http_client import NoAnswer, call, endpoint_and_path
from chaos.stack.proctree import await_end, await_gone, await_stopped, send, tree

_SPAWN_LIMIT_S = 10.0
_KILL_ROUNDS = 5
_KILL_LIMIT_S = 2.0
_READY_LOOK_S = 0.01
_READY_ANSWER_LIMIT_S = 2.0
_OUTPUT_BYTES = 4096

# The kernel sends the parent-death signal when the thread that forked ends. So one thread, which
# lives as long as this process, starts all processes.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_PREFIX = dying_with_us()


@dataclass(frozen=True)
class Surroundings:
    """Where the programs of the stack run: working directory and environment.

    `through`: the command that becomes the program, for one that is witnessed.
    """

    cwd: Path
    env: Mapping[str, str]
    through: tuple[str, ...] = ()


class NoProgram(EnvironmentProblem):
    """The program of a command does not exist, or cannot be executed."""


def spawn(argv: Sequence[str], where: Surroundings, output: int) -> subprocess.Popen[bytes]:
    """Start `argv` in its own session, with its output in the descriptor `output`.

    The process gets SIGKILL when this process ends. Raises `NoProgram` if there is no such
    program.
    """
    program = shutil.which(argv[0], path=where.env.get("PATH"))
    if program is None:
        raise NoProgram(
            f"there is no program {argv[0]!r}",
            next_step=hidden_by_sandbox(argv[:1]) or "correct the target profile or install it",
        )
    return _spawner.submit(
        lambda: subprocess.Popen(
            [*_PREFIX, *where.through, program, *argv[1:]],
            cwd=where.cwd,
            env=dict(where.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    ).result(_SPAWN_LIMIT_S)


def run_command(argv: Sequence[str], where: Surroundings, limit_s: float) -> CommandResult:
    """Run `argv`. After `limit_s` the command and its descendants are killed."""
    start_s = time.monotonic()
    with tempfile.TemporaryFile() as output:  # a child left behind could hold a pipe open
        process = spawn(argv, where, output.fileno())
        code = await_end(process, limit_s)
        if code is None:
            _kill_all(process)
        took_s = time.monotonic() - start_s
        text = tail_of(output, _OUTPUT_BYTES).decode(errors="replace")
    return CommandResult(tuple(argv), code, text, took_s)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the process tree, repeatedly: a process may start another one while it is killed."""
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


def not_ready(what: str, log: Path, next_step: str) -> EnvironmentProblem:
    """The error for a failed start: `what` happened, then the end of the log."""
    said = tail(log)
    return EnvironmentProblem(
        what + (f":\n{said}" if said else ""),
        place=str(log),
        next_step=f"read the log; {next_step}",
    )


class Ready:
    """The sign by which a program shows that it is ready.

    A file that it has written or replaced since `mark`; a URL that answers with a status below 500.
    `next_step` is the advice in the error of a failed start.
    """

    def __init__(self, file: Path | None, limit_s: float, next_step: str, *, url: str = "") -> None:
        self._file = file
        self._url = url
        self._limit_s = limit_s
        self._next_step = next_step
        self._before: tuple[int, int] | None = None

    def mark(self) -> None:
        """Remember the version of the file before the start."""
        self._before = None if self._file is None else file_version(self._file)

    def wait(self, service: Service, cancel: threading.Event) -> None:
        """Wait until `service` is ready.

        Raises `EnvironmentProblem` with the end of its log if it ends or the limit passes first,
        and `RunStopped` if `cancel` is set.
        """
        deadline = Deadline(self._limit_s, cancel)
        while not (self._written() and self._answers()):
            if not service.alive():
                what = f"{service.name} ended with exit code {service.exit_code()} at its start, "
                what += f"before there was {self.sign}"
                raise not_ready(what, service.log, self._next_step)
            if not deadline.wait(_READY_LOOK_S):
                if cancel.is_set():
                    raise RunStopped(f"stopped while {service.name} started")
                what = f"{service.name} was not ready within {self._limit_s:g} s: no {self.sign}"
                raise not_ready(what, service.log, self._next_step)

    @property
    def sign(self) -> str:
        """What is waited for, in words."""
        return " and ".join(filter(None, [self._file.name if self._file else "", self._url]))

    def _written(self) -> bool:
        return self._file is None or file_version(self._file) not in (None, self._before)

    def _answers(self) -> bool:
        if not self._url:
            return True
        endpoint, place = endpoint_and_path(self._url)
        try:
            return call(endpoint, "GET", place, timeout_s=_READY_ANSWER_LIMIT_S).status < 500
        except NoAnswer:
            return False


class ProcessTree(Service):
    """The part of a service that does not depend on who started it."""

    def alive(self) -> bool:
        return self.pid() is not None

    def pause(self) -> None:
        """SIGSTOP for the whole tree, repeated until no new child appears."""
        paused: list[int] = []
        while new := [pid for pid in self.pids() if pid not in paused]:
            send(new, signal.SIGSTOP)
            await_stopped(new)
            paused += new

    def resume(self) -> None:
        send(self.pids(), signal.SIGCONT)


class StartedService(ProcessTree):
    """A service that is started as a program of its own.

    `start` waits for the ready file, if there is one (see `ReadyFile.await_written`). `cancel`,
    once set, ends that wait.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready: Ready | None = None,
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
    def _ended_within(self, pid: int, limit_s: float) -> bool:
        """Wait for the first process to end; False if it still runs after `limit_s`."""

    def start(self) -> None:
        if self.alive():
            return
        if self._ready is not None:
            self._ready.mark()
        self.launch()
        if self._ready is not None:
            self._ready.wait(self, self._cancel)

    def stop(self, limit_s: float) -> Stopped:
        pid, killed, start_s = self.pid(), False, time.monotonic()
        if pid is not None:
            send([pid], self._stop_signal)
            self.resume()  # a paused process cannot handle the signal
            killed = not self._ended_within(pid, limit_s)
        took_s = time.monotonic() - start_s
        self.kill()
        return Stopped(self.exit_code(), took_s, killed)


class LocalService(StartedService):
    """A program of the stack as a child process."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        where: Surroundings,
        log: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        ready_file: Path | None = None,
        ready_url: str = "",
        ready_limit_s: float = 30.0,
        cancel: threading.Event | None = None,
    ) -> None:
        by_hand = "start it by hand: " + " ".join(argv)
        ready = None
        if ready_file is not None or ready_url:
            ready = Ready(ready_file, ready_limit_s, by_hand, url=ready_url)
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
