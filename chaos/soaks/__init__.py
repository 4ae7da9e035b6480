"""The workloads of the plan's soaks: what they submit to the Watcher, and when they are done.

Must not know faults, except when one is active.
"""

from chaos.base.errors import unknown_name
from chaos.soaks.autonomous_loop import AutonomousLoop
from chaos.soaks.base import Workload
from chaos.soaks.batch_requests import BatchRequests
from chaos.soaks.endurance import Endurance
from chaos.soaks.one_of_each import OneOfEach
from chaos.soaks.one_piece import OnePiece
from chaos.soaks.sequential_requests import SequentialRequests

WORKLOADS: dict[str, type[Workload]] = {
    kind.name: kind
    for kind in (Endurance, SequentialRequests, BatchRequests, AutonomousLoop, OneOfEach, OnePiece)
}


def workload_kind(name: str, *, place: str = "") -> type[Workload]:
    """The workload called `name`. Raises `UsageError` with the nearest valid name."""
    if name not in WORKLOADS:
        raise unknown_name("workload", name, WORKLOADS, place=place)
    return WORKLOADS[name]
