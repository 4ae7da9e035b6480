"""Count the processes that a service has been: each restart is a new generation.

A PID may be reused, so a process is identified by its PID and its start time. Must not know who
ended the previous process.
"""

from chaos.base.proc import Identity

_START = 19  # field 22 of /proc/PID/stat: its index among the fields after the name


class Lives:
    """Counts the processes of one service. The first has generation 0."""

    def __init__(self) -> None:
        self._last: object = None
        self.generation = -1

    def of(self, identity: object) -> int:
        """The generation of the service's current process, which `identity` identifies."""
        if identity != self._last:
            self._last = identity
            self.generation += 1
        return self.generation


def parse_start_ticks(stat_text: bytes) -> int | None:
    """Start time in clock ticks since boot, from the text of /proc/PID/stat; None for a zombie."""
    fields = stat_text.rpartition(b")")[2].split(None, _START + 1)
    return None if fields[0] in b"ZX" else int(fields[_START])


def start_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None if it has ended or is a zombie."""
    process = Identity.of(pid)
    return process.start_ticks if process is not None else None
