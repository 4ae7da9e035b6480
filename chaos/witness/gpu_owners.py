"""Whose process holds GPU memory: a service of the stack, or another.

The driver names processes by number, and in a container it may use the numbers of the host. Such
a number is either nobody's here or, worse, somebody else's. So in a process namespace of its own
a number is believed only when that process has a node of the driver open; else the answer is that
it cannot be told. Knows nothing of the driver's library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from chaos.witness.base import stat
from chaos.witness.lives import start_ticks

OTHER = "other"
_PROC = Path("/proc")
# Kernel: include/linux/proc_ns.h, PROC_PID_INIT_INO
_FIRST_NAMESPACE = 0xEFFFFFFC
_ANCESTORS_MAX = 64


def in_first_namespace() -> bool:
    """Whether processes have the numbers here that the driver knows them by, beyond doubt."""
    return stat("/proc/self/ns/pid").st_ino == _FIRST_NAMESPACE


class Owners:
    """Tells the service by process number. What a process once was, it stays: one that outlives
    the Watcher that started it is still the Watcher's.
    """

    def __init__(
        self,
        services: Mapping[str, Callable[[], int | None]],
        *,
        nodes: str = "/dev/nvidia",
        same_numbers: bool | None = None,
    ) -> None:
        self._services = services
        self._nodes = nodes
        self._same_numbers = in_first_namespace() if same_numbers is None else same_numbers
        self._known: dict[tuple[int, int], str] = {}

    def of(self, pids: list[int]) -> dict[int, str] | None:
        """Process -> service, or `other`; None when one of them cannot be told."""
        # 1 is no service here, but the number that one in a container of its own gives itself.
        mains = {pid: name for name, pid_of in self._services.items() if (pid := pid_of() or 0) > 1}
        known: dict[tuple[int, int], str] = {}
        found: dict[int, str] = {}
        for pid in pids:
            start = start_ticks(pid)
            if start is None:
                if not self._same_numbers:
                    return None
                found[pid] = OTHER  # it ended just now, or is hidden: then it is none of ours
                continue
            owner = self._known.get((pid, start))
            if owner is None:
                if not self._same_numbers and not self._uses_driver(pid):
                    return None
                owner = next((mains[one] for one in _line(pid) if one in mains), OTHER)
            known[pid, start] = found[pid] = owner
        self._known = known
        return found

    def _uses_driver(self, pid: int) -> bool:
        try:
            return any(
                str(link.readlink()).startswith(self._nodes)
                for link in (_PROC / str(pid) / "fd").iterdir()
            )
        except OSError:
            return False  # gone, or another user's: nothing is proven


def _line(pid: int) -> Iterator[int]:
    """The process and its ancestors."""
    for _ in range(_ANCESTORS_MAX):
        if pid <= 0:
            return
        yield pid
        try:
            text = (_PROC / str(pid) / "stat").read_bytes()
        except OSError:
            return
        pid = int(text.rpartition(b")")[2].split(None, 2)[1])
