"""What lies in the workspace: the state before the work, and what still waits to be done.

Reads files only. Shared by the workloads; knows none of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.record.history import HistoryWriter
from chaos.record.target import Queue, Target

_LOOK_S = 0.4
# A request on its way from one folder to the next can escape one look, not two.
LOOKS_EMPTY = 2
_NAMED_MAX = 20


def snapshot(workspace: Path, target: Target) -> dict[str, Any]:
    """Counts and names that later checks compare with (the plan's "record starting state")."""
    candidates = sorted(path.name for path in workspace.glob(target.paths.policy_candidates))
    decisions = workspace / target.decisions.path
    return {
        "draws": len(read_draws(workspace, target)),
        "policy_candidates": candidates,
        "decisions": decisions.read_bytes().count(b"\n") if decisions.exists() else 0,
        "archived": len(list(workspace.glob(target.queue.archived))),
    }


def unanswered(workspace: Path, queue: Queue) -> list[str]:
    """Requests that are pending or claimed."""
    waiting = [path.name for path in workspace.glob(queue.pending)]
    return waiting + [path.name for path in workspace.glob(queue.claimed)]


def read_draws(workspace: Path, target: Target) -> list[dict[str, Any]]:
    """All draws of the history; `EnvironmentProblem` when it cannot be read."""
    path = workspace / target.draws.path
    try:
        draws = json.loads(path.read_text(encoding="utf-8"))[target.draws.list]
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentProblem(
            f"the draw history cannot be read: {error}",
            place=str(path),
            next_step="see the logs of the prepare commands in the run directory",
        ) from error
    return list(draws)


def drain(look: Callable[[], list[str]], history: HistoryWriter, deadline: Deadline) -> None:
    """Look until nothing waits any more, or the deadline; records `drained`."""
    start_s = history.now_s()
    waiting, looks_empty = look(), 0
    while looks_empty < LOOKS_EMPTY and deadline.wait(_LOOK_S):
        waiting = look()
        looks_empty = 0 if waiting else looks_empty + 1
    history.event(
        "drained",
        pending=len(waiting),
        waiting=sorted(waiting)[:_NAMED_MAX],
        took_s=round(history.now_s() - start_s, 3),
        in_time=not waiting,
    )
