"""Starts and stops the LLM server on request, so that a Watcher can free the GPU before work.

The control API is HTTP: `POST /start`, `POST /stop` and `GET /status`. Each answers `{"state",
"pid", "generation", "healthy", "starts", "stops", "crashed"}`. `state` is running or stopped; a
server that still loads its model is running and not healthy; `crashed` is true if the last server
that ended died by itself.

Guarantees: `/stop` answers "stopped" only after the process is gone. There are never two servers. A
server that dies by itself is recorded, and stays down until the next `/start`. Every change is one
JSON line in `--events`: `{"time_s", "event", "pid", "generation"}`. The events are start, ready,
stop, gone, start_refused (a server runs already), start_denied (see below) and crashed.

For resilience tests, `PUT /faults` sets the faults of the servers that are started from then on:
`{"load_delay_s": 4.0, "ignore_stop": true, "deny_start": true}`. A key that is missing means no
fault. `GET /faults` returns them. A denied start is answered with 503, as if the machine had no
memory for a server.

The main thread owns the server process, and gets commands through a queue. So starts and stops
cannot overlap. The kernel ties the parent-death signal to the thread that forked, so it fires when
this program dies. With `--command` another server is started than llm_server.py. Its process is the
one that is started, so a script ends with `exec`; it stays in the foreground. With `--adopt`
nothing is started: adopted.py watches the server that listens on the port. Standard library only;
must not know what the server is used for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from adopted import AdoptedServer
from capped_log import CappedLog
from control import Command, Control
from event_file import EventFile
from faults import Faults
from ready import answers

_TICK_S = 0.1  # the longest time until a server's death is noticed
_COMMANDS_MAX = 16
_GROUP_END_LIMIT_S = 2.0
_LOOK_S = 0.005
_READY_LIMIT_S = 600.0  # how long a starting server's health is polled


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line. The arguments after `--` go to llm_server.py unchanged."""
    parser = argparse.ArgumentParser(
        description="Start and stop the LLM server on request.",
        epilog="Arguments after -- go to llm_server.py (--threads, --ctx, --binary...).",
    )
    parser.add_argument("--control", default="127.0.0.1:8079", help="host:port of the control API")
    parser.add_argument("--model", type=Path, help="GGUF file (for llm_server.py)")
    parser.add_argument("--host", default="127.0.0.1", help="address of the LLM server")
    parser.add_argument("--port", type=int, default=8081, help="port of the LLM server")
    parser.add_argument("--events", type=Path, required=True, help="JSON lines, appended")
    parser.add_argument("--log", type=Path, required=True, help="output of the LLM server")
    parser.add_argument("--log-max-bytes", type=int, default=8_000_000, help="then it is rotated")
    parser.add_argument("--stop-limit-s", type=float, default=5.0, help="SIGTERM, then SIGKILL")
    parser.add_argument("--autostart", action="store_true", help="start the server right away")
    parser.add_argument("--ready-path", default="/health", help="below 500 there means ready")
    parser.add_argument("--adopt", action="store_true", help="watch a server of somebody else's")
    parser.add_argument("--marked", default="", metavar="NAME=VALUE", help="in its environment")
    for name, text in (
        ("--command", "the server, instead of llm_server.py; repeated"),
        ("--stop-command", "ends it, instead of SIGTERM; repeated"),
    ):
        parser.add_argument(name, action="append", default=[], metavar="WORD", help=text)
    parser.add_argument("server_arguments", nargs="*", metavar="-- ARGUMENT")
    return parser.parse_args(argv)


class Server:
    """The LLM server process. Other threads may call only `snapshot` and `healthy`."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._log = CappedLog(options.log, options.log_max_bytes)
        self.events = EventFile(options.events)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False  # "ready" has been recorded
        self._healthy_pid = 0  # the last process that was healthy; set by any thread
        self._generation = 0
        self._starts = 0
        self._stops = 0
        self._crashed = False
        self._poll_health_until_s = 0.0
        self._lock = threading.Lock()  # guards what snapshot() reads
        self.faults = Faults()  # replaced as a whole, by any thread

    def snapshot(self) -> dict[str, Any]:
        """State, pid, generation and counters, all of the same moment. Thread-safe."""
        with self._lock:
            return {
                "state": "running" if self._process else "stopped",
                "pid": self._process.pid if self._process else None,
                "generation": self._generation,
                "starts": self._starts,
                "stops": self._stops,
                "crashed": self._crashed,
            }

    def healthy(self) -> bool:
        """True if the server answers, below 500, within a second. Thread-safe."""
        options = self._options
        pid = self.snapshot()["pid"]
        if pid is None:
            return False
        healthy = answers(options.host, options.port, options.ready_path)
        if healthy:
            self._healthy_pid = pid
        return healthy

    def start(self) -> bool:
        """Start the server unless one runs. Returns once it is spawned, before it is ready.

        False if `faults` denies the start.
        """
        self.notice_death()
        if self._process is not None:
            self._record("start_refused", self._process.pid)
            return True
        if self.faults.deny_start:
            self._record("start_denied", None)
            return False
        process = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        threading.Thread(
            target=self._log.drain, args=(process.stdout,), name="server-log", daemon=True
        ).start()
        with self._lock:
            self._process, self._ready = process, False
            self._generation += 1
            self._starts += 1
        self._poll_health_until_s = time.monotonic() + _READY_LIMIT_S
        self._record("start", process.pid)
        return True

    def stop(self) -> bool:
        """Stop the server: SIGTERM, after the limit SIGKILL, and wait until the process is gone.

        A stop command takes the place of SIGTERM. If even SIGKILL does not end it in time (stuck in
        the kernel), the state stays "running". Returns True: nobody refuses it.
        """
        self.notice_death()
        process = self._process
        if process is None:
            return True
        self._record_ready(process.pid)
        self._record("stop", process.pid)
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if signum == signal.SIGTERM and self._options.stop_command:
                self._run_stop_command()
            else:
                _signal_group(process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._options.stop_limit_s)
                self._gone("gone", process.pid, process.returncode, stops=1)
                break
        return True

    def quit(self) -> None:
        """Stop the server, because this program ends."""
        self.stop()

    def notice_death(self) -> None:
        """Record a server that died by itself."""
        process = self._process
        if process is not None and process.poll() is not None:
            self._record_ready(process.pid)
            self._gone("crashed", process.pid, process.returncode)

    def notice_ready(self) -> None:
        """Record "ready" once a starting server is healthy."""
        if self.starting() and self.healthy():
            self._record_ready(self._healthy_pid)

    def _record_ready(self, pid: int) -> None:
        """Record "ready" once, if process `pid` was healthy. Called again before its end."""
        if not self._ready and pid == self._healthy_pid:
            self._ready = True
            self._record("ready", pid)

    def starting(self) -> bool:
        """True if a server was spawned and is not ready yet, within `_READY_LIMIT_S`."""
        waiting = self._process is not None and not self._ready
        return waiting and time.monotonic() < self._poll_health_until_s

    def _run_stop_command(self) -> None:
        try:
            subprocess.run(
                self._options.stop_command,
                stdin=subprocess.DEVNULL,
                timeout=self._options.stop_limit_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"supervisor: the stop command failed: {error}", flush=True)

    def _gone(self, event: str, pid: int, exit_code: int | None, *, stops: int = 0) -> None:
        _end_group(pid)
        with self._lock:
            self._process = None
            self._stops += stops
            self._crashed = event == "crashed"
        self._record(event, pid, exit_code=exit_code)

    def _command(self) -> list[str]:
        options = self._options
        if options.command:
            setpriv = shutil.which("setpriv")  # ends it when this program dies
            tied = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
            return [*tied, *options.command]
        return [
            *self.faults.launcher(),
            sys.executable,
            str(Path(__file__).with_name("llm_server.py")),
            *("--model", str(options.model)),
            *("--host", options.host),
            *("--port", str(options.port)),
            *("--die-with-parent", str(os.getpid())),
            *self.faults.arguments(),
            *options.server_arguments,
        ]

    def _record(self, event: str, pid: int | None, **more: Any) -> None:
        self.events.record(event, pid, self._generation, **more)


def _signal_group(pid: int, number: int) -> bool:
    """Signal the process and what it has started; False if nothing of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
        return True
    return False


def _end_group(pid: int) -> None:
    """Kill what a server that has ended has left behind, so that there are never two."""
    _signal_group(pid, signal.SIGKILL)
    limit_s = time.monotonic() + _GROUP_END_LIMIT_S
    while _signal_group(pid, 0) and time.monotonic() < limit_s:
        time.sleep(_LOOK_S)


class Quit:
    """A signal handler that sets `requested`: an attribute, because it must not take a lock."""

    requested = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle SIGTERM and SIGINT."""
        self.requested = True


def run(server: Server | AdoptedServer, commands: queue.Queue[Command], quit_: Quit) -> None:
    """Execute the commands in order, and watch the server in between, until `quit_`.

    A server of our own is stopped before it returns.
    """
    while not quit_.requested:
        try:
            command = commands.get(timeout=_TICK_S / 4 if server.starting() else _TICK_S)
        except queue.Empty:
            server.notice_death()
            server.notice_ready()
            server.events.flush()
            continue
        command.denied = not (server.start() if command.name == "start" else server.stop())
        command.done.set()
    server.quit()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the control API until SIGTERM or SIGINT, then stop the LLM server.

    Returns the exit code: 2 if the control port is taken, or nothing can be started.
    """
    options = parse_arguments(argv)
    if not (options.model or options.command or options.adopt):
        print("supervisor: --model, --command or --adopt is needed", file=sys.stderr)
        return 2
    host, _, port = options.control.rpartition(":")
    commands: queue.Queue[Command] = queue.Queue(_COMMANDS_MAX)
    server = AdoptedServer(options) if options.adopt else Server(options)
    # Twice the limit, because a stop may have to wait for the previous command.
    limit_s = 2 * options.stop_limit_s + 5.0
    try:
        control = Control((host, int(port)), server, commands, limit_s)
    except OSError as error:
        print(f"supervisor: cannot listen on {options.control}: {error}", file=sys.stderr)
        return 2
    quit_ = Quit()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, quit_)
    if options.autostart:
        server.start()
    threading.Thread(target=control.serve_forever, name="control", daemon=True).start()
    print(f"supervisor: control API on {options.control}", flush=True)
    run(server, commands, quit_)
    control.shutdown()
    control.server_close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
