"""llm_killed: kill -9 of the LLM server. Nobody but the Watcher brings it back.

Waits (two thirds of the hold at most) for a server at work and kills that very process. Proven by
the kernel (the process is gone) and by the supervisor, its parent: ended by signal 9, without a
stop having been asked for. The way back is the product's: the Watcher finds the server dead and has
it started. With `keep_down=yes` no server can be started while the fault holds, as on a machine
without memory for one: the LLM is then cut off for certain, and only that is lifted at the end.
Recovered is a new process that completes a prompt, directly and through the proxy.
"""

import signal
from functools import partial
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, probe
from chaos.faults.llm_process.base import ProcessFault
from chaos.faults.llm_process.server import (
    LOOK_S,
    ServerEvent,
    current,
    health,
    supervised,
    why_not,
    works,
)
from chaos.faults.params import FaultParams, Value, text
from chaos.record.recovery_paths import LLM_DROP, LLM_SERVER_RESTART
from chaos.stack.base import Stack

_NOTICED_LIMIT_S = 2.0  # by its supervisor


class LLMKilled(ProcessFault):
    name = "llm_killed"
    summary = "the LLM server is killed (SIGKILL); the Watcher has to revive it"
    triage_path = LLM_DROP
    reconnection_path = LLM_SERVER_RESTART
    ends = frozenset({"llm"})
    recovery_limit_s = 40.0

    class Params(FaultParams):
        keep_down: Annotated[
            Literal["no", "yes"], text("yes: no server can be started while the fault holds")
        ] = "no"

    params: Params

    _killed: Identity | None = None

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._keeps_down = self.params.keep_down == "yes"

    def available(self, stack: Stack) -> str | None:
        return why_not(stack, knobs=self._keeps_down)

    def inject(self, stack: Stack) -> None:
        def kill(server: Identity) -> bool:
            if self._keeps_down:  # not before: a server has to come up that can be killed
                supervised(stack).set_faults({"deny_start": True})
            if server.send(signal.SIGKILL) and self._crashed(server.pid):
                self._killed = server
                return True
            self.recover(stack)
            return False

        self.strike(stack, kill, "killed")

    def _crashed(self, pid: int) -> bool:
        """True if the supervisor saw it end unasked; False where a stop was under way."""
        look = partial(self._end_of, pid)
        end = self.record.await_event(look, Deadline(_NOTICED_LIMIT_S))
        return end is not None and end.event == "crashed"

    def _end_of(self, pid: int) -> ServerEvent | None:
        return self.record.find("crashed", pid) or self.record.find("gone", pid)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            server = self._killed or self.server
            crash = self.record.find("crashed", server.pid if server else None)
            if server is None or crash is None or crash.exit_code != -signal.SIGKILL:
                return False
            direct = health(stack)
            measured |= {
                "killed_pid": server.pid,
                "process_gone": not server.lives(),
                "exit_code": crash.exit_code,
                "direct": direct.brief(),
            }
            down = direct.outcome == "refused"
            if not measured["process_gone"] or (self._keeps_down and not down):
                return False
            measured |= {"cuts_llm": self._keeps_down, **self._noticed(crash, deadline)}
            return True

        return probe(look, deadline, LOOK_S, {"cuts_llm": False})

    def _noticed(self, crash: ServerEvent, deadline: Deadline) -> dict[str, Any]:
        """When the Watcher asked for a new server: nobody else does. Waited for up to the end."""

        def asked() -> ServerEvent | None:
            events = self.record.events()
            later = events[events.index(crash) + 1 :] if crash in events else []
            return next((one for one in later if one.event in ("start", "start_denied")), None)

        new = self.record.await_event(asked, deadline)
        if new is None:
            return {}
        how = "started" if new.event == "start" else "asked for, in vain"
        return {"path_taken": f"a new server was {how} {new.time_s - crash.time_s:.1f} s later"}

    def recover(self, stack: Stack) -> None:
        if self._keeps_down:
            supervised(stack).set_faults({})

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            server = current(stack)
            if server is None or server == self._killed:
                return False
            measured |= {"new_pid": server.pid, **works(stack)}
            return bool(measured["completes"]) and server.lives()

        killed_pid = self._killed.pid if self._killed else None
        return probe(look, deadline, LOOK_S, {"killed_pid": killed_pid})
