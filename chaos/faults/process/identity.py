"""One process, known by its number and its start, so that it is never mistaken for a later one.

Read from /proc. A signal goes through a descriptor of the process (pidfd): between the look and
the signal the number cannot have passed to somebody else. Source: proc(5), pidfd_open(2).
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.stack.proctree import processes

_PROC = Path("/proc")
_STATE, _START = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted after the name


@dataclass(frozen=True)
class Identity:
    """`start_ticks`: start of the process in clock ticks since boot."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int | None) -> Identity | None:
        """The live process `pid`; None when there is none (a zombie is none)."""
        fields = None if pid is None else _stat(_PROC / str(pid))
        if pid is None or fields is None or fields[_STATE] in "ZX":
            return None
        return cls(pid, int(fields[_START]))

    def record(self) -> dict[str, int]:
        """As written into the ledger."""
        return asdict(self)

    def lives(self) -> bool:
        """Whether this very process runs."""
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal this very process; False when it is gone."""
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
        tasks = _PROC / str(self.pid) / "task"
        found = [_stat(task) for task in _listed(tasks)]
        return "".join(sorted(fields[_STATE] for fields in found if fields is not None))

    def switches(self) -> int:
        """How often its threads have been given the processor or have given it up, in all.

        A process that polls, however idle, makes this rise; one that is stopped cannot.
        """
        total = 0
        for task in _listed(_PROC / str(self.pid) / "task"):
            with contextlib.suppress(OSError, ValueError):  # a thread that ends meanwhile
                for line in (
                    (task / "status").read_text(encoding="ascii", errors="replace").split("\n")
                ):
                    if "voluntary_ctxt_switches" in line:
                        total += int(line.partition(":")[2])
        return total

    def command(self) -> bytes:
        """Its command line as in /proc, words ended by NUL; empty when gone."""
        try:
            return (_PROC / str(self.pid) / "cmdline").read_bytes()
        except OSError:
            return b""

    def children(self) -> list[Identity]:
        """The processes that its threads have started, as far as alive."""
        pids: list[int] = []
        for task in _listed(_PROC / str(self.pid) / "task"):
            try:
                text = (task / "children").read_text(encoding="ascii")
            except OSError:  # it has ended, or the kernel was built without that file
                pids = [one.pid for one in processes() if one.parent == self.pid]
                break
            pids += [int(word) for word in text.split()]
        return [child for pid in pids if (child := Identity.of(pid)) is not None]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _stat(folder: Path) -> list[str] | None:
    """The fields after the name, which stands in parentheses and may contain anything."""
    try:
        text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
