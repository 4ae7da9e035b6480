"""Map processes that hold GPU memory to the stack's services, or to `other`.

The driver names processes by PID. In a container it may use the host's PIDs, which here belong to
no process or to a wrong one. So in a private PID namespace a PID is trusted only if that process
has a device node of the driver open; otherwise the owners are unknown. Knows nothing of the driver
library.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.base.proc import Identity
from chaos.stack.proctree import ancestors
from chaos.witness.base import stat

OTHER = "other"
_PROC = Path("/proc")
# Kernel: include/linux/proc_ns.h, PROC_PID_INIT_INO
_FIRST_NAMESPACE = 0xEFFFFFFC


def in_host_pid_namespace() -> bool:
    """True if this process is in the host's PID namespace, so that its PIDs are the driver's."""
    return stat("/proc/self/ns/pid").st_ino == _FIRST_NAMESPACE


class Owners:
    """Maps a PID to its service, through its ancestors. A process keeps its service for life: a
    child that outlives the Watcher that started it still belongs to the Watcher.

    `services` returns the current PID by service name. `nodes` is the path prefix of the driver's
    device nodes. `driver_pids_are_ours`: see `in_host_pid_namespace`, which is the default.
    """

    def __init__(
        self,
        services: Mapping[str, Callable[[], int | None]],
        *,
        nodes: str = "/dev/nvidia",
        driver_pids_are_ours: bool | None = None,
    ) -> None:
        self._services = services
        self._nodes = nodes
        self._pids_are_ours = (
            in_host_pid_namespace() if driver_pids_are_ours is None else driver_pids_are_ours
        )
        self._known: dict[Identity, str] = {}  # process -> owner

    def of(self, pids: list[int]) -> dict[int, str] | None:
        """PID -> service name, or `other`; None if the owner of one of them is unknown."""
        # PID 1 is what a service in a container of its own calls itself, not its PID here.
        service_of = {
            pid: name for name, pid_of in self._services.items() if (pid := pid_of() or 0) > 1
        }
        known: dict[Identity, str] = {}
        owners: dict[int, str] = {}
        for pid in pids:
            process = Identity.of(pid)
            if process is None:
                if not self._pids_are_ours:
                    return None
                owners[pid] = OTHER  # it ended just now or is hidden, so it is not ours
                continue
            owner = self._known.get(process)
            if owner is None:
                if not self._pids_are_ours and not self._uses_driver(pid):
                    return None
                owner = next(
                    (service_of[each] for each in ancestors(pid) if each in service_of), OTHER
                )
            known[process] = owners[pid] = owner
        self._known = known
        return owners

    def _uses_driver(self, pid: int) -> bool:
        try:
            return any(
                str(link.readlink()).startswith(self._nodes)
                for link in (_PROC / str(pid) / "fd").iterdir()
            )
        except OSError:
            return False  # it ended or belongs to another user
