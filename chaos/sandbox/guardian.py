"""The process that the user sees: holds the sandbox, forwards signals, survives every crash in it.

::

    guardian (this)                      the PID that `chaos run` had
      unshare                            dies with the guardian (parent-death signal)
        init.py                          PID 1: reaps; dies with unshare, or when the lifeline ends
          python -m chaos.runner.inner RUNDIR   the run, and below it the stack

Only the guardian holds the write end of the lifeline, a pipe. End of file means that the guardian
is gone. A byte requests a signal (I: SIGINT, T: SIGTERM). So a signal that arrives while the run
starts is not lost, and no PID of another namespace is needed. A second pipe reports the run's exit
code, because unshare's own exit code does not distinguish a failed run from a sandbox that could
not be made or was killed.

This process stays for hours, so it is small: standard library only, no import of `chaos`, run as a
script with `python -S -E`. It must not know what the inner command does. It only knows that a
judged run leaves the file `--expect`.
"""

import os
import signal
import sys
import time
from types import FrameType

RUN_ID_VARIABLE = "CHAOS_RUN_ID"
MODE_VARIABLE = "CHAOS_SANDBOX"  # `namespaces` or `plain`; read by the programs inside

_INVALID = 4
_CLEANUP_INCOMPLETE = 6
_INTERRUPTED = 130
# Exit codes with which the inner command claims that a verdict exists.
_JUDGED_CODES = (0, 1, 3, 5)
# Exit codes with which it may end without a verdict, after it has printed the reason.
_UNJUDGED_CODES = (2, _INVALID, _CLEANUP_INCOMPLETE, _INTERRUPTED)

_GONE_LIMIT_S = 5.0
_ON_CRASH_LIMIT_S = 120.0
_SIGNALS_BEFORE_KILL = 3
NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc")


class Options:
    """The parsed command line, which `command.py` builds. Raises `SystemExit` if it is invalid."""

    def __init__(self, argv: list[str]) -> None:
        self.mode = "namespaces"
        self.run_id = ""
        self.expect = ""
        self.user_namespace = False
        self.inner: list[str] = []
        self.on_crash: list[str] = []
        arguments = iter(argv)
        for word in arguments:
            if word == "--user":
                self.user_namespace = True
                continue
            value = next(arguments, "")
            if word in ("--inner", "--on-crash"):  # the value is the number of words that follow
                command = [next(arguments) for _ in range(int(value))]
                setattr(self, word[2:].replace("-", "_"), command)
            elif word in ("--mode", "--run-id", "--expect"):
                setattr(self, word[2:].replace("-", "_"), value)
            else:
                raise SystemExit(f"guardian: unknown argument {word}")
        if not (self.run_id and self.inner and self.mode in ("namespaces", "plain")):
            raise SystemExit("guardian: --run-id, --inner and a known --mode are needed")


def marked_pids(run_id: str) -> dict[int, str]:
    """The processes that have the run's id in their environment: PID -> command line.

    Without the calling process, and without zombies, which have no environment.
    """
    mark = f"{RUN_ID_VARIABLE}={run_id}".encode()
    marked = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  (pathlib is not worth its memory here)
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as stream:  # noqa: PTH123
                if mark not in stream.read().split(b"\0"):
                    continue
            with open(f"/proc/{name}/cmdline", "rb") as stream:  # noqa: PTH123
                command = stream.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or belongs to another user
            continue
        marked[int(name)] = command
    return marked


def kill_marked(run_id: str, limit_s: float = _GONE_LIMIT_S) -> tuple[list[str], list[str]]:
    """Send SIGKILL to all marked processes until none is left, or until `limit_s` has passed.

    Returns (killed, still there), each as texts "pid N: command line".
    """
    killed: dict[int, str] = {}
    deadline_s = time.monotonic() + limit_s
    while (remaining := marked_pids(run_id)) and time.monotonic() < deadline_s:
        for pid, command in remaining.items():
            killed[pid] = command
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
    return _texts(killed), _texts(remaining)


def _texts(processes: dict[int, str]) -> list[str]:
    return [f"pid {pid}: {command[:120]}" for pid, command in sorted(processes.items())]


class Guardian:
    """Runs one command in one sandbox."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lifeline_read, self._lifeline = os.pipe()
        self._report, self._report_write = os.pipe()
        os.set_blocking(self._lifeline, False)
        for descriptor in (self._lifeline_read, self._report_write):
            os.set_inheritable(descriptor, True)
        self._child = 0
        self._signals = 0

    def run(self) -> int:
        """Run the inner command to its end. Returns the exit code for the user."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._forward)
        code = self._run_inner()
        remaining = self._await_gone()
        if self._is_crash(code):
            code = self._crashed(code)
        if remaining:
            _say("could not remove:\n  " + "\n  ".join(remaining))
            return _CLEANUP_INCOMPLETE
        return _INVALID if code is None else code

    def _run_inner(self) -> int | None:
        """Exit code of the inner command (negative: signal); None if the sandbox ended first."""
        options = self._options
        environment = dict(os.environ)
        environment[RUN_ID_VARIABLE] = options.run_id
        environment[MODE_VARIABLE] = options.mode
        command = [*self._wrapper(), *self._init(), *options.inner]
        # A process group of its own, so that Ctrl-C in a terminal reaches only the guardian.
        self._child = os.posix_spawnp(command[0], command, environment, setpgroup=0)
        os.close(self._lifeline_read)
        os.close(self._report_write)
        os.waitpid(self._child, 0)
        self._child = 0
        os.set_blocking(self._report, False)  # a process that is being killed may hold the pipe
        try:
            report = os.read(self._report, 16)
        except BlockingIOError:
            return None
        return int(report) if report else None

    def _wrapper(self) -> list[str]:
        if self._options.mode == "plain":
            return []
        user = ["--user", "--map-root-user"] if self._options.user_namespace else []
        # Both belong to util-linux. setpriv sets the parent-death signal, then execs unshare.
        return ["setpriv", "--pdeathsig", "KILL", "--", "unshare", *user, *NAMESPACES]

    def _init(self) -> list[str]:
        init = os.path.abspath(__file__).removesuffix("guardian.py") + "init.py"  # noqa: PTH100
        pipes = [str(self._lifeline_read), str(self._report_write)]
        return [sys.executable, "-S", "-E", init, self._options.mode, *pipes]

    def _forward(self, signum: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals >= _SIGNALS_BEFORE_KILL and self._child:
            os.kill(self._child, signal.SIGKILL)  # the user insists; the kernel cleans up
            return
        try:
            os.write(self._lifeline, b"I" if signum == signal.SIGINT else b"T")
        except OSError:  # the reader is closed: the run is ending already
            return

    def _await_gone(self) -> list[str]:
        """Wait until no process of the run is left, and kill those that its init left.

        Returns the processes that are still there.
        """
        deadline_s = time.monotonic() + (_GONE_LIMIT_S if self._options.mode != "plain" else 0.0)
        while time.monotonic() < deadline_s:
            if not marked_pids(self._options.run_id):
                return []
            time.sleep(0.01)
        killed, remaining = kill_marked(self._options.run_id)
        if killed:
            _say("ended what the run had left behind:\n  " + "\n  ".join(killed))
        return remaining

    def _is_crash(self, code: int | None) -> bool:
        if code in _JUDGED_CODES:
            expect = self._options.expect
            return bool(expect) and not os.path.exists(expect)  # noqa: PTH110
        return code not in _UNJUDGED_CODES

    def _crashed(self, code: int | None) -> int:
        """Handle a run that ended without a verdict: have its record judged.

        Returns the exit code: 1 if the record proves a product failure, 130 if the user had
        interrupted the run, else 4.
        """
        how = "its sandbox ended" if code is None else f"exit code {code}"
        if code is not None and code < 0:
            how = f"killed by signal {-code}"
        _say(f"the run ended without a verdict: {how}")
        verdict = self._run_on_crash() if self._options.on_crash else _INVALID
        if verdict == 1:
            return 1
        return _INTERRUPTED if self._signals else _INVALID

    def _run_on_crash(self) -> int:
        command = self._options.on_crash
        try:
            child = os.posix_spawnp(command[0], command, dict(os.environ))
        except OSError as error:
            _say(f"cannot run {command[0]}: {error.strerror}")
            return _INVALID
        deadline_s = time.monotonic() + _ON_CRASH_LIMIT_S
        while time.monotonic() < deadline_s and self._signals < _SIGNALS_BEFORE_KILL:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return _INVALID


def _say(text: str) -> None:
    print(f"chaos: {text}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """Run the guardian. Returns the exit code."""
    return Guardian(Options(argv)).run()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
