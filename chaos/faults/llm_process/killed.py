"""llm_killed: SIGKILL for the LLM server. The Watcher starts a new one.

A target that does not say that its daemon starts servers (`llm.stopped_for_work`, `llm.server`) is
not held to it: then the fault starts the new one, when it heals.

Waits (at most 70 % of the hold) for a healthy server and kills it. Proven by the kernel (the
process has ended) and by the supervisor, its parent: it ended by signal 9 without a stop. The
Watcher must notice and have a new server started. With `keep_down=yes` no server can be started
while the fault holds, as on a machine without memory for one: the LLM is then cut off for certain.
Recovered is a new process that completes a prompt, directly and through the proxy.
"""

import signal
from functools import partial
from typing import Annotated, Any, Literal

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, PlannedStack, probe
from chaos.faults.llm_process.base import ProcessFault
from chaos.faults.llm_process.server import (
    LOOK_S,
    ServerEvent,
    current,
    health,
    supervised,
    unavailable,
    works,
)
from chaos.faults.params import FaultParams, text
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
    _started_by = "the Watcher"

    @property
    def _keeps_down(self) -> bool:
        return self.params.keep_down == "yes"

    def available_in(self, planned: PlannedStack) -> str | None:
        if self._keeps_down and planned.target.llm.adopted:
            return "the daemon starts its LLM server by itself, which cannot be denied (llm.server)"
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        return unavailable(stack, knobs=self._keeps_down)

    def inject(self, stack: Stack) -> None:
        def kill(server: Identity) -> bool:
            if self._keeps_down:  # not earlier: there must be a server to kill
                supervised(stack).set_faults({"deny_start": True})
            if server.send(signal.SIGKILL) and self._crashed(stack, server.pid):
                self._killed = server
                return True
            self.recover(stack)
            return False

        self.strike(stack, kill, "killed")

    def _crashed(self, stack: Stack, pid: int) -> bool:
        """True if it ended by the signal; False if it was being stopped.

        Nobody says why a server ended that the daemon had started: it lived when it got the signal.
        """
        look = partial(self._end_of, pid)
        end = self.record.await_event(look, Deadline(_NOTICED_LIMIT_S))
        return end is not None and (end.event == "crashed" or stack.target.llm.adopted)

    def _end_of(self, pid: int) -> ServerEvent | None:
        return self.record.find("crashed", pid) or self.record.find("gone", pid)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            server = self._killed or self.server
            crash = self._end_of(server.pid) if server is not None else None
            if server is None or crash is None or not self._by_signal(stack, crash):
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

    def _by_signal(self, stack: Stack, end: ServerEvent) -> bool:
        if stack.target.llm.adopted:
            return self._killed is not None
        return end.event == "crashed" and end.exit_code == -signal.SIGKILL

    def _noticed(self, crash: ServerEvent, deadline: Deadline) -> dict[str, Any]:
        """Wait until the Watcher asks for a new server: nobody else does."""

        def next_start() -> ServerEvent | None:
            events = self.record.events()
            later = events[events.index(crash) + 1 :] if crash in events else []
            return next((e for e in later if e.event in ("start", "start_denied")), None)

        new = self.record.await_event(next_start, deadline)
        if new is None:
            return {}
        how = "started" if new.event == "start" else "asked for and denied"
        return {"path_taken": f"a new server was {how} {new.time_s - crash.time_s:.1f} s later"}

    def recover(self, stack: Stack) -> None:
        if self._keeps_down:
            supervised(stack).set_faults({})
        llm = stack.target.llm
        if self._killed is None or llm.stopped_for_work or llm.adopted or current(stack):
            return
        self._started_by = "the fault"
        stack.service("llm").start()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            server = current(stack)
            if server is None or server == self._killed:
                return False
            measured |= {"new_pid": server.pid, "started_by": self._started_by, **works(stack)}
            return bool(measured["completes"]) and server.lives()

        killed_pid = self._killed.pid if self._killed else None
        return probe(look, deadline, LOOK_S, {"killed_pid": killed_pid})
