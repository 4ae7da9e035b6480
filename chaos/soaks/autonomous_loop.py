"""Soak C's workload: draws arrive by the injector, the Watcher does everything else by itself.

Source: the plan, section 6. Beyond the plan, two probe requests accompany every fault: one while
it holds, so that the path under test is really taken, and one after it, so that recovery can be
timed even when draws are rare.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from chaos.deadline import Deadline
from chaos.errors import EnvironmentProblem
from chaos.history import HistoryWriter
from chaos.soaks.requests import RequestSubmitter
from chaos.stack.base import Stack
from chaos.target import Target

_LOOK_S = 0.4
# A request on its way from one folder to the next can escape one look, not two.
_LOOKS_EMPTY = 2
_INJECTOR_STOP_LIMIT_S = 10.0


class AutonomousLoop:
    """See the module."""

    name: ClassVar[str] = "autonomous_loop"

    def __init__(
        self, stack: Stack, target: Target, settings: dict[str, Any], history: HistoryWriter
    ) -> None:
        self._stack = stack
        self._target = target
        self._settings = settings
        self._history = history
        self._submitter = RequestSubmitter(stack.workspace, target.queue, history)
        self._injecting = False

    def start(self) -> None:
        """Snapshot what is there before (the plan's step 2), then let draws arrive."""
        self._history.event("baseline_files", **self._snapshot())
        self._stack.service("injector").start()
        self._injecting = True
        self._history.event("injector_started", interval_s=float(self._settings["draw_interval_s"]))

    def on_fault(self, fault_id: str, *, active: bool) -> None:
        """Ask for one piece of work during the fault and one after it."""
        self._submitter.submit("selfplay", f"{'during' if active else 'after'} {fault_id}")

    def finish(self, deadline: Deadline) -> None:
        """Stop the draws, then wait until the queue is empty and every draw is diagnosed."""
        self._stop_injector()
        start_s = self._history.now_s()
        waiting, looks_empty = self._waiting(), 0
        while looks_empty < _LOOKS_EMPTY and deadline.wait(_LOOK_S):
            waiting = self._waiting()
            looks_empty = 0 if waiting else looks_empty + 1
        self._history.event(
            "drained",
            pending=len(waiting),
            waiting=sorted(waiting)[:20],
            took_s=round(self._history.now_s() - start_s, 3),
            in_time=not waiting,
        )

    def abort(self) -> None:
        """Stop the draws; what is under way stays as it is."""
        self._stop_injector()

    def _stop_injector(self) -> None:
        if not self._injecting:
            return
        self._injecting = False
        stopped = self._stack.service("injector").stop(_INJECTOR_STOP_LIMIT_S)
        self._history.event(
            "injector_stopped", exit_code=stopped.exit_code, took_s=round(stopped.took_s, 3)
        )

    def _snapshot(self) -> dict[str, Any]:
        target, root = self._target, self._stack.workspace
        candidates = sorted(path.name for path in root.glob(target.paths.policy_candidates))
        decisions = root / target.decisions.path
        return {
            "draws": len(_draws(root, target)),
            "policy_candidates": candidates,
            "decisions": decisions.read_bytes().count(b"\n") if decisions.exists() else 0,
            "archived": len(list(root.glob(target.queue.archived))),
        }

    def _waiting(self) -> list[str]:
        """Requests pending or claimed, and draws without diagnostics."""
        root, queue = self._stack.workspace, self._target.queue
        waiting = [path.name for path in root.glob(queue.pending)]
        waiting += [path.name for path in root.glob(queue.claimed)]
        source = self._target.draws.source
        injected = sum(
            draw.get(source) != self._target.draws.bootstrap_source
            for draw in _draws(root, self._target)
        )
        diagnosed = len(list(root.glob(self._target.paths.diagnostics)))
        return waiting + [f"draw without diagnostics {i}" for i in range(injected - diagnosed)]


def _draws(root: Path, target: Target) -> list[dict[str, Any]]:
    path = root / target.draws.path
    try:
        draws = json.loads(path.read_text(encoding="utf-8"))[target.draws.list]
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentProblem(
            f"the draw history cannot be read: {error}",
            place=str(path),
            next_step="see the logs of the prepare commands in the run directory",
        ) from error
    return list(draws)
