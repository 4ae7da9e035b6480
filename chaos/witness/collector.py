"""Close looks at a running stack, written into the history as events `inspection`.

Decides when the Watcher seems to stall and how often to look; what a look contains is
`inspection.py`'s business. Judges nothing.
"""

from __future__ import annotations

import threading
from pathlib import Path

from chaos.plan.plan import Plan
from chaos.record.history import HistoryWriter
from chaos.stack.base import Stack
from chaos.witness.inspection import QUICK, inspect

_SERVICES = ("watcher", "injector", "llm", "llm_supervisor", "proxy")
_LOOKS_MAX = 8
_STALL_S_MIN = 30.0
# A request waits for two calls of the LLM, each with its attempts; twice that is no patience.
_CALLS = 4


class Collector:
    """Looks at most `_LOOKS_MAX` times a run, once for each stall. Safe from several threads."""

    def __init__(self, stack: Stack, plan: Plan, history: HistoryWriter) -> None:
        self._stack = stack
        self._target = plan.target
        self._history = history
        self._lock = threading.Lock()
        self._looks = 0
        way = plan.target.inspection
        self.limit_s = QUICK.seconds + (way.limit_s if way else 0.0)  # of one look, about
        self._log = stack.workspace / plan.target.decisions.path
        self._stall_s = _stall_s(plan)
        self._mark: tuple[int, float] = (-1, 0.0)  # size of the decision log, since when
        self._told = False

    def write(self, why: str) -> None:
        """Look now, and record it."""
        with self._lock:
            if self._looks >= _LOOKS_MAX:
                return
            self._looks += 1
            roles = {name: self._pids(name) for name in _SERVICES}
            seen = inspect(
                self._target,
                self._stack.workspace,
                why=why,
                roles=roles,
                bounds=QUICK,
                ask=True,
                watcher=self._stack.service("watcher").pid(),
            )
            self._history.event("inspection", **seen)

    def on_stall(self, now_s: float) -> None:
        """Look once when requests wait and no decision has come for long (run seconds)."""
        size = _size(self._log)
        if size != self._mark[0] or not self._waiting():
            self._mark, self._told = (size, now_s), False
        elif not self._told and now_s - self._mark[1] > self._stall_s:
            self._told = True
            self.write(f"no decision for {now_s - self._mark[1]:.0f} s while requests wait")

    def _waiting(self) -> bool:
        queue = self._target.queue
        patterns = (queue.pending, queue.claimed)
        return any(True for p in patterns for _ in self._stack.workspace.glob(p))

    def _pids(self, name: str) -> list[int]:
        try:
            return self._stack.service(name).pids()
        except KeyError:
            return []


def _stall_s(plan: Plan) -> float:
    settings = plan.profile.settings
    limit, attempts = settings.get("llm_timeout_s", 0.0), settings.get("llm_attempts", 1)
    if not isinstance(limit, (int, float)) or not isinstance(attempts, (int, float)):
        return _STALL_S_MIN
    return max(_STALL_S_MIN, _CALLS * float(limit) * float(attempts))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
