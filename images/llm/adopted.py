"""A server that somebody else starts and stops: found by the port on which it listens.

The interface is that of `supervisor.Server`, and so are the events, without stop and crashed: why a
server has ended cannot be seen. Start and stop need a command. Sources: proc_pid_net(5),
proc_pid_fd(5).
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from event_file import EventFile
from faults import Faults
from ready import answers

_LISTENS = "0A"  # the state of a socket in /proc/net/tcp
_LOOK_S = 0.02
_START = 19  # a field of /proc/PID/stat, counted after the name


class AdoptedServer:
    """Other threads may call only `snapshot` and `healthy`."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.events = EventFile(options.events)
        self.faults = Faults()
        self._lock = threading.Lock()  # guards what snapshot() reads
        self._found: tuple[int, str] | None = None  # PID and start of the process that listens
        self._sockets: set[str] = set()
        self._ready = False
        self._healthy_pid = 0  # the last process that was healthy; set by any thread
        self._generation = 0
        self._stops = 0
        self._commands: list[subprocess.Popen[bytes]] = []  # not ended yet

    def snapshot(self) -> dict[str, Any]:
        """State, pid, generation and counters, all of the same moment. Thread-safe."""
        with self._lock:
            return {
                "state": "running" if self._found else "stopped",
                "pid": self._found[0] if self._found else None,
                "generation": self._generation,
                "starts": self._generation,
                "stops": self._stops,
                "crashed": False,
            }

    def healthy(self) -> bool:
        """True if the server answers, below 500, within a second. Thread-safe."""
        options = self._options
        pid = self.snapshot()["pid"]
        healthy = pid is not None and answers(options.host, options.port, options.ready_path)
        if healthy:
            self._healthy_pid = pid
        return healthy

    def start(self) -> bool:
        """Run the start command, without waiting for it; False if there is none."""
        self.notice_death()
        if self._found is not None:
            self._record("start_refused", self._found[0])
            return True
        if not self._options.command:
            self._record("start_denied", None)
            return False
        self._run(self._options.command)
        return True

    def stop(self) -> bool:
        """Run the stop command, and wait until nobody listens; False if there is no command."""
        self.notice_death()
        if self._found is None or not self._options.stop_command:
            return self._found is None
        self._record("stop", self._found[0])
        self._run(self._options.stop_command)
        limit_s = time.monotonic() + self._options.stop_limit_s
        while self._found is not None and time.monotonic() < limit_s:
            time.sleep(_LOOK_S)
            self.notice_death()
        with self._lock:
            self._stops += self._found is None
        return self._found is None

    def quit(self) -> None:
        """Nothing: the server belongs to whoever has started it."""

    def notice_death(self) -> None:
        """Look who listens, and record a change."""
        self._commands = [command for command in self._commands if command.poll() is None]
        sockets = _listening(self._options.port)
        if self._found is not None and sockets == self._sockets and _is(self._found):
            return
        found = _holder(sockets, self._options.marked) if sockets else None
        if found != self._found:
            if self._found is not None:
                self._record_ready(self._found[0])
                self._record("gone", self._found[0])
            with self._lock:
                self._found, self._ready = found, False
                self._generation += found is not None
            if found is not None:
                self._record("start", found[0])
        self._sockets = sockets

    def notice_ready(self) -> None:
        """Record "ready" once a server that has appeared is healthy."""
        if self.starting() and self.healthy():
            self._record_ready(self._healthy_pid)

    def starting(self) -> bool:
        """True if a server listens and is not ready yet."""
        return self._found is not None and not self._ready

    def _record_ready(self, pid: int) -> None:
        if not self._ready and pid == self._healthy_pid:
            self._ready = True
            self._record("ready", pid)

    def _run(self, command: list[str]) -> None:
        try:
            self._commands.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        except OSError as error:
            print(f"supervisor: {command[0]} cannot be run: {error}", flush=True)

    def _record(self, event: str, pid: int | None) -> None:
        self.events.record(event, pid, self._generation)


def _listening(port: int) -> set[str]:
    """The inodes of the sockets that listen on `port`."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in _text(f"/proc/net/{table}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _holder(sockets: set[str], marked: str) -> tuple[int, str] | None:
    """The oldest process that holds one of `sockets`: others have it from their parent.

    `marked`: VARIABLE=VALUE that must be in its environment; empty for any process.
    """
    names = {f"socket:[{inode}]" for inode in sockets}
    holders = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or not _holds(folder, names):
            continue
        if marked and f"{marked}\0" not in _text(str(folder / "environ")):
            continue
        holders.append((int(_start_of(int(folder.name)) or 0), int(folder.name)))
    if not holders:
        return None
    pid = min(holders)[1]
    return pid, _start_of(pid)


def _holds(process: Path, names: set[str]) -> bool:
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if str(descriptor.readlink()) in names:
                    return True
    return False


def _is(found: tuple[int, str]) -> bool:
    return _start_of(found[0]) == found[1]


def _start_of(pid: int) -> str:
    """The time of its start in clock ticks since boot; empty when it is gone, or a zombie."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[_START] if fields and fields[0] not in "ZX" else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
