"""GPUs that were lost in mid-run, and whether a fault of the schedule did it.

A GPU that goes by itself (a reload of the host's daemon takes it out of a container, the driver
gives it up) is an outage of the infrastructure. One that a fault took, in its time and given back
with it, is what the run is about. Knows no check.
"""

from pathlib import PurePath

from chaos.record.fault_window import FaultWindow
from chaos.record.history import Event
from chaos.record.open_run import OpenRun

# Kinds that take a GPU away. Any other kind may say so of itself by `"loses_gpu": true` in the
# evidence of its effect.
_LOSES_GPU = frozenset({"gpu_lost"})
# The recovery is proven by a new process, and the sampler looks twice in a second.
_BACK_S = 5.0


def own_losses(run: OpenRun) -> list[tuple[int, Event]]:
    """(line, event) of each loss that no fault explains."""
    return [
        (line, event)
        for line, event in run.named("gpu_lost")
        if not any(_explains(run, window, event) for window in run.faults)
    ]


def _explains(run: OpenRun, window: FaultWindow, event: Event) -> bool:
    since_s = window.earliest_s
    if since_s is None or event.t_s < since_s:
        return False
    if window.name not in _LOSES_GPU and not window.evidence("effect_proven").get("loses_gpu"):
        return False
    if not _same_device(window, event):
        return False
    if window.end_s is None:
        return True
    back_s = _back_s(run, event)
    over_s = window.end_s + _BACK_S
    if back_s is None:
        return event.t_s <= window.end_s and run.end_s <= over_s  # nobody looked again
    return event.t_s <= window.end_s and back_s <= over_s


def _same_device(window: FaultWindow, event: Event) -> bool:
    """A fault that names a node explains no loss of another one."""
    taken = window.undo.get("node")
    lost = event.detail.get("node")
    if taken is None or lost is None:
        return True
    return PurePath(str(taken)).name == PurePath(str(lost)).name


def _back_s(run: OpenRun, loss: Event) -> float | None:
    device = loss.detail.get("device")
    return next(
        (
            event.t_s
            for _, event in run.named("gpu_back")
            if event.t_s >= loss.t_s and event.detail.get("device") == device
        ),
        None,
    )
