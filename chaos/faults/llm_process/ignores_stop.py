"""llm_ignores_stop: the LLM server ignores SIGTERM, as process 1 does by default.

The next server that is started ignores it. Proven when it is stopped (the Watcher does so around
every piece of work): the kernel says that the process ignores SIGTERM, it still runs a second after
the stop, and the supervisor's SIGKILL ends it. A Watcher has to wait until the memory is free.
"""

import signal
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity, has_bit
from chaos.faults.base import Evidence, probe
from chaos.faults.llm_process.base import NextStartFault
from chaos.faults.llm_process.server import LOOK_S, current, restart
from chaos.faults.params import FaultParams, duration
from chaos.record.recovery_paths import LLM_SERVER_RESTART, VRAM_NOT_FREED
from chaos.stack.base import Stack

_ALIVE_AFTER_S = 1.0  # a normal server ends long before
_REPLACED_LIMIT_S = 5.0
_NORMAL_LOOKS = 3


class LLMIgnoresStop(NextStartFault):
    name = "llm_ignores_stop"
    summary = "the LLM server ignores SIGTERM and has to be killed"
    triage_path = VRAM_NOT_FREED
    reconnection_path = LLM_SERVER_RESTART
    ends = frozenset({"llm"})
    recovery_limit_s = 40.0

    class Params(FaultParams):
        hold: Annotated[float, duration("how long the fault is held", 6.0, 86400)] = 15.0

    params: Params

    def knobs(self) -> dict[str, Any]:
        return {"ignore_stop": True}

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        watched: Identity | None = None
        ignoring = False

        def look(measured: dict[str, Any]) -> bool:
            nonlocal watched, ignoring
            if watched is None:
                watched = current(stack)
                return False
            if watched.lives():
                ignoring = ignoring or ignores(watched.pid, signal.SIGTERM)
                return False
            lived_s, exit_code = self._end_of(watched.pid)
            if lived_s is None:
                return False
            measured |= {
                "stops": measured["stops"] + 1,
                "pid": watched.pid,
                "ignores_sigterm": ignoring,
                "lived_on_s": round(lived_s, 2),
                "exit_code": exit_code,
            }
            proven = ignoring and lived_s >= _ALIVE_AFTER_S and exit_code == -signal.SIGKILL
            if proven:
                measured["path_taken"] = (
                    f"the server ran on for {lived_s:.1f} s after it was stopped"
                )
            watched, ignoring = None, False
            return proven

        return probe(look, deadline, LOOK_S, {"stops": 0})

    def _end_of(self, pid: int) -> tuple[float | None, int | None]:
        """(seconds from the stop to the end, exit code), None before both are recorded.

        A server that ended by itself was not stopped: the time is 0.
        """
        if self.record.find("crashed", pid) is not None:
            return 0.0, None
        stop, gone = self.record.find("stop", pid), self.record.find("gone", pid)
        if gone is None:
            return None, None
        return (gone.time_s - stop.time_s if stop else 0.0), gone.exit_code

    def recover(self, stack: Stack) -> None:
        """New servers are normal; one that still ignores SIGTERM is replaced.

        By the Watcher, which stops it for its next piece of work, else by the fault.
        """
        super().recover(stack)
        deadline = Deadline(_REPLACED_LIMIT_S)
        normal = 0  # looks in a row: a server is not seen in the moment before it is started
        while normal < _NORMAL_LOOKS:
            normal = 0 if _is_affected(current(stack)) else normal + 1
            if not deadline.wait(LOOK_S):
                restart(stack)
                return

    def is_normal(self, pid: int) -> tuple[bool, dict[str, Any]]:
        ignoring = ignores(pid, signal.SIGTERM)
        return not ignoring, {"ignores_sigterm": ignoring}


def _is_affected(server: Identity | None) -> bool:
    """By its command line, too: a process ignores SIGTERM a moment after it is there."""
    if server is None:
        return False
    return b"--ignore-stop\0" in server.command() or ignores(server.pid, signal.SIGTERM)


def ignores(pid: int, number: signal.Signals) -> bool:
    """True if the process ignores that signal."""
    return has_bit(pid, "SigIgn", number - 1)
