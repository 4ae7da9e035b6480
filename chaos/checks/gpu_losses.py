"""GPUs that were lost in mid-run, and whether a fault of the schedule did it.

A GPU that goes by itself (a reload of the host's daemon takes it out of a container, the driver
gives it up) is an outage of the infrastructure. One that a fault took, in its time and given back
with it, is what the run is about. Knows no check.
"""

from __future__ import annotations

from pathlib import PurePath

from chaos.checks.run_view import FaultWindow, RunView
from chaos.record.history import Event

# Kinds that take a GPU away. Any other kind may say so of itself by `"loses_gpu": true` in the
# evidence of its effect.
_LOSES_GPU = frozenset({"gpu_lost"})
# The recovery is proven by a new process, and the sampler looks twice in a second.
_BACK_S = 5.0


def own_losses(view: RunView) -> list[tuple[int, Event]]:
    """(line, event) of each loss that no fault explains."""
    return [
        (line, event)
        for line, event in view.named("gpu_lost")
        if not any(_explains(view, window, event) for window in view.faults)
    ]


def _explains(view: RunView, window: FaultWindow, event: Event) -> bool:
    since_s = window.earliest_s
    if since_s is None or event.t_s < since_s:
        return False
    if window.name not in _LOSES_GPU and not window.evidence("effect_proven").get("loses_gpu"):
        return False
    if not _same_device(window, event):
        return False
    if window.end_s is None:
        return True
    back_s = _back_s(view, event)
    over_s = window.end_s + _BACK_S
    if back_s is None:
        return event.t_s <= window.end_s and view.end_s <= over_s  # nobody looked again
    return event.t_s <= window.end_s and back_s <= over_s


def _same_device(window: FaultWindow, event: Event) -> bool:
    """A fault that names a node explains no loss of another one."""
    undo = window.evidence("armed").get("undo")
    taken = undo.get("node") if isinstance(undo, dict) else None
    lost = event.detail.get("node")
    if taken is None or lost is None:
        return True
    return PurePath(str(taken)).name == PurePath(str(lost)).name


def _back_s(view: RunView, loss: Event) -> float | None:
    device = loss.detail.get("device")
    return next(
        (
            event.t_s
            for _, event in view.named("gpu_back")
            if event.t_s >= loss.t_s and event.detail.get("device") == device
        ),
        None,
    )
