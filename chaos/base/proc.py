"""Processes as the kernel shows them in /proc, read by number. Knows nothing of services.

What is gone, or another user's, reads as None, empty or 0: a process may end at any moment. An
`Identity` is never mistaken for a later process with the same number. Source: proc(5).
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_PROC = Path("/proc")
_STATE, _PARENT, _SESSION, _START = 0, 1, 3, 19  # of /proc/PID/stat, counted after the name


@dataclass(frozen=True)
class Process:
    """One living process (zombies are not listed)."""

    pid: int
    parent: int
    session: int
    name: str


def pids() -> list[int]:
    """The numbers of all processes of this PID namespace."""
    # An entry for each (Path.iterdir) costs five times as much.
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208


def processes() -> list[Process]:
    """All living processes of this PID namespace."""
    found = []
    for pid in pids():
        name, fields = _stat(f"{pid}")
        if fields and fields[_STATE] not in "ZX":
            found.append(Process(pid, int(fields[_PARENT]), int(fields[_SESSION]), name))
    return found


def is_alive(pid: int) -> bool:
    """True if `pid` exists and is not a zombie."""
    return Identity.of(pid) is not None


def states(pid: int) -> str:
    """The state of each thread of `pid`, one letter each (T: stopped); empty when it is gone."""
    stats = (_stat(f"{pid}/task/{task}")[1] for task in _tasks(pid))
    return "".join(sorted(fields[_STATE] for fields in stats if fields))


def status(pid: int, field: str, *, task: str = "") -> str:
    """The value of `field` in /proc/PID/status; empty when it is not there."""
    for line in _text(f"{pid}/{f'task/{task}/' if task else ''}status").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    return ""


def has_bit(pid: int, field: str, bit: int) -> bool:
    """True if `bit` is set in a mask of /proc/PID/status (`SigIgn`, `CapEff`)."""
    return bool(int(status(pid, field) or "0", 16) >> bit & 1)


def command(pid: int) -> bytes:
    """The command line, each word ended by NUL."""
    return _bytes(f"{pid}/cmdline")


def command_line(pid: int, characters: int = 120) -> str:
    """The command line for people, at most `characters` of it."""
    return command(pid).replace(b"\0", b" ").decode(errors="replace").strip()[:characters]


def dying_with_us(signal_name: str = "KILL") -> list[str]:
    """A prefix for an argv: the program gets the signal when the thread that starts it ends.

    Empty where setpriv (util-linux) is not installed.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


def end(process: subprocess.Popen[bytes], limit_s: float, *, group: bool = False) -> None:
    """Send SIGTERM to our child, then SIGKILL; each is waited for up to `limit_s`.

    `group`: signal the process group that the child leads.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(limit_s)


def in_environment(pid: int, variable: str, value: str) -> bool:
    """True if the process was started with `variable` set to `value`."""
    return f"{variable}={value}".encode() in _bytes(f"{pid}/environ").split(b"\0")


def descriptors(pid: int) -> set[int]:
    """The numbers of its open file descriptors."""
    return {int(name) for name in _listed(f"{pid}/fd")}


def files_open_for_writing(pid: int) -> Iterator[Path]:
    """The paths of its file descriptors that are open for writing."""
    for name in _listed(f"{pid}/fd"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # closed, or ended, meanwhile
            flags = int(_text(f"{pid}/fdinfo/{name}").split("flags:")[1].split()[0], 8)
            if flags & os.O_ACCMODE:
                yield (_PROC / f"{pid}/fd/{name}").readlink()


def working_folder(pid: int) -> Path | None:
    """Its current working directory."""
    try:
        return (_PROC / f"{pid}/cwd").readlink()
    except OSError:
        return None


def address_space_bytes(pid: int) -> int:
    """The size of its address space."""
    return int((_text(f"{pid}/statm") or "0").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def scheduled_ns(pid: int) -> tuple[int, int]:
    """(nanoseconds that its first thread ran, that it was ready to run and waited)."""
    ran, waited, *_ = (_text(f"{pid}/schedstat") or "0 0").split()
    return int(ran), int(waited)


def confine(pid: int, cpus: set[int]) -> None:
    """Let each of its threads run on `cpus` only."""
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(task), cpus)


@dataclass(frozen=True)
class Identity:
    """One process by its number and its start (`start_ticks`: clock ticks since boot)."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int | None) -> Self | None:
        """The live process `pid`; None when there is none (a zombie is none)."""
        fields = _stat(f"{pid}")[1] if pid is not None else []
        if pid is None or not fields or fields[_STATE] in "ZX":
            return None
        return cls(pid, int(fields[_START]))

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Self:
        """The process that `record` has written into the ledger."""
        return cls(int(record["pid"]), int(record["start_ticks"]))

    def record(self) -> dict[str, int]:
        """As written into the ledger."""
        return asdict(self)

    def lives(self) -> bool:
        """True if this very process runs."""
        return self.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal this very process; False when it is gone.

        The descriptor (pidfd_open(2)) keeps the number from passing to another process between
        the look and the signal.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.lives():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def states(self) -> str:
        """The state of each of its threads, one letter each (T: stopped); empty when gone."""
        return states(self.pid)

    def switches(self) -> int:
        """How often its threads have been given the processor or have given it up, in all.

        A process that polls, however idle, makes this rise; one that is stopped cannot.
        """
        kinds = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
        counts = (status(self.pid, kind, task=t) for t in _tasks(self.pid) for kind in kinds)
        return sum(int(count or 0) for count in counts)

    def command(self) -> bytes:
        """Its command line as in /proc, words ended by NUL; empty when gone."""
        return command(self.pid)

    def children(self) -> list[Self]:
        """The processes that its threads have started, as far as alive."""
        children: list[int] = []
        for task in _tasks(self.pid):
            try:
                text = (_PROC / f"{self.pid}/task/{task}/children").read_text(encoding="ascii")
            except OSError:  # it has ended, or the kernel was built without that file
                children = [one.pid for one in processes() if one.parent == self.pid]
                break
            children += [int(word) for word in text.split()]
        return [child for pid in children if (child := self.of(pid)) is not None]


def marked(token: str) -> list[Identity]:
    """The live processes that have `token` as a word of their command line."""
    found = (Identity.of(pid) for pid in pids() if token.encode() in command(pid).split(b"\0"))
    return [process for process in found if process is not None]


def _bytes(name: str) -> bytes:
    try:
        return (_PROC / name).read_bytes()
    except OSError:
        return b""


def _text(name: str) -> str:
    return _bytes(name).decode(errors="replace")


def _listed(name: str) -> list[str]:
    try:
        return os.listdir(_PROC / name)  # noqa: PTH208
    except OSError:
        return []


def _tasks(pid: int) -> list[str]:
    return _listed(f"{pid}/task")


def _stat(folder: str) -> tuple[str, list[str]]:
    """(name, the fields after it). The name stands in parentheses and may contain anything."""
    head, _, tail = _text(f"{folder}/stat").rpartition(")")
    return head.partition("(")[2], tail.split()
