"""Inspect a running stack, and write the results into the history as events `inspection`.

Decides when the Watcher seems to stall, and how often to inspect. `inspection.py` decides what an
inspection contains. Judges nothing.
"""

import threading
from pathlib import Path

from chaos.base.files import matching
from chaos.plan.plan import Plan
from chaos.record.history import HistoryWriter
from chaos.stack.base import Stack
from chaos.witness.files import waiting_requests
from chaos.witness.inspection import QUICK, inspect

_SERVICES = ("watcher", "injector", "llm", "llm_supervisor", "proxy")
_INSPECTIONS_MAX = 8
_STALL_S_MIN = 30.0
# A request waits for two LLM calls, each with all its attempts. Twice that long is a stall.
_CALLS = 4


class Inspector:
    """Inspects at most `_INSPECTIONS_MAX` times per run, and once per stall. Thread-safe."""

    def __init__(self, stack: Stack, plan: Plan, history: HistoryWriter) -> None:
        self._stack = stack
        self._target = plan.target
        self._history = history
        self._lock = threading.Lock()
        self._inspections = 0
        inspection = plan.target.inspection
        # The time that one inspection may take, including the memory report.
        self.limit_s = QUICK.seconds + (inspection.limit_s if inspection else 0.0)
        log = plan.target.decisions.path
        # Where there is no log of decisions, a piece of work that is finished is the progress.
        self._log = stack.workspace / log if log else None
        self._stall_s = _stall_s(plan)
        self._log_bytes = -1
        self._unchanged_since_s = 0.0  # when the log got that size, in run seconds
        self._stall_reported = False

    def write(self, why: str) -> None:
        """Inspect now, and record the result. `why` is the event's reason."""
        with self._lock:
            if self._inspections >= _INSPECTIONS_MAX:
                return
            self._inspections += 1
            roles = {n: self._pids(n) for n in (*_SERVICES, *self._target.services)}
            snapshot = inspect(
                self._target,
                self._stack.workspace,
                why=why,
                roles=roles,
                bounds=QUICK,
                ask=True,
                watcher=self._stack.service("watcher").pid(),
            )
            self._history.event("inspection", **snapshot)

    def on_stall(self, now_s: float) -> None:
        """Inspect once per stall: requests wait, and no decision has come for long.

        `now_s` is in seconds since the run began.
        """
        size = self._progress()
        if size != self._log_bytes or not self._has_waiting_requests():
            self._log_bytes, self._unchanged_since_s = size, now_s
            self._stall_reported = False
            return
        stalled_s = now_s - self._unchanged_since_s
        if not self._stall_reported and stalled_s > self._stall_s:
            self._stall_reported = True
            self.write(f"no decision for {stalled_s:.0f} s while requests wait")

    def _progress(self) -> int:
        if self._log is not None:
            return _size(self._log)
        return len(matching(self._stack.workspace, self._target.work.finished.files))

    def _has_waiting_requests(self) -> bool:
        return bool(waiting_requests(self._stack.workspace, self._target.work))

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
