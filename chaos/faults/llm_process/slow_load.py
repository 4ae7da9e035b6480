"""llm_slow_load: the LLM server's model loads slowly; until then it answers 503, "Loading model".

The next server that is started answers so for `delay` before it loads its model. Proven by the
health answers of one process: 503 for most of `delay`, then 200, that much later after its start
than servers usually were ready before (by the supervisor's record). A Watcher has to wait, and must
not ask for a second server meanwhile: the check `llm_lifecycle` counts such requests.
"""

import statistics
import time
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, probe
from chaos.faults.llm_process.base import NextStartFault
from chaos.faults.llm_process.server import LOOK_S, Record, current, health
from chaos.faults.params import FaultParams, duration
from chaos.record.recovery_paths import LLM_SERVER_RESTART
from chaos.stack.base import Stack

_PART_MIN = 0.8


class LLMSlowLoad(NextStartFault):
    name = "llm_slow_load"
    summary = "the LLM server's model loads slowly (503 until then)"
    reconnection_path = LLM_SERVER_RESTART
    ends = frozenset({"llm"})
    recovery_limit_s = 60.0

    class Params(FaultParams):
        hold: Annotated[float, duration("how long the fault is held", 4.0, 86400)] = 15.0
        delay: Annotated[float, duration("how long a load takes longer", 2.0, 30.0)] = 4.0

    params: Params

    _usual_s = 0.0

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        undo = super().undo_record(stack)
        started: dict[int | None, float] = {}
        took_s = []
        for event in Record(self.record.path, 0).events():
            if event.event == "start":
                started[event.pid] = event.time_s
            elif event.event == "ready" and event.pid in started:
                took_s.append(event.time_s - started[event.pid])
        self._usual_s = statistics.median(took_s) if took_s else 0.0
        return {**undo, "usual_start_s": round(self._usual_s, 2)}

    def knobs(self) -> dict[str, Any]:
        return {"load_delay_s": self.params.delay}

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        server: Identity | None = None
        first_s: float | None = None  # when this process first answered 503

        def look(measured: dict[str, Any]) -> bool:
            nonlocal server, first_s
            now = current(stack)
            if now != server:
                server, first_s = now, None
            status = health(stack).status
            if server is not None and status == 503 and first_s is None:
                first_s = time.monotonic()
            if server is None or status != 200 or first_s is None:
                return False
            took_s = time.monotonic() - first_s
            measured |= {
                "pid": server.pid,
                "loading_503_s": round(took_s, 2),
                "start_s": round(self._since_start_s(server.pid), 2),
                "usual_start_s": round(self._usual_s, 2),
                "then": status,
                "started_by": self.started_by,
                "asked_again": self._asked_again(server.pid),
            }
            least_s = self.params.delay * _PART_MIN
            late = measured["start_s"] >= self._usual_s + least_s
            if took_s >= least_s and late and server.lives():
                return True
            first_s = None
            return False

        return probe(look, deadline, LOOK_S)

    def _since_start_s(self, pid: int) -> float:
        """Seconds since the start of that process; 0 if it is not recorded."""
        start = self.record.find("start", pid)
        return time.time() - start.time_s if start else 0.0

    def _asked_again(self, pid: int) -> int:
        """How often a second server was asked for while this one loaded.

        If the fault itself started it, the Watcher may ask once by design, which does not count.
        """
        events = self.record.events()
        places = [n for n, e in enumerate(events) if (e.event, e.pid) == ("start", pid)]
        if not places:
            return 0
        count = 0
        for event in events[places[0] :]:
            if event.pid == pid and event.event in ("ready", "stop", "crashed"):
                break
            count += event.event == "start_refused"
        return max(0, count - (self.started_by != "the Watcher"))
