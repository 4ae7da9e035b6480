"""llm_paused: SIGSTOP for the LLM server. The kernel still takes connections, nobody answers.

Waits (two thirds of the hold at most) for a server at work. Proven by the kernel (each of its
threads is stopped, and none is scheduled between two looks) and on the wire (a connection opens, a
question goes in, no answer comes). Healed by SIGCONT for that very process, where it still exists:
a supervisor that is asked to stop it kills it in the end. Recovered is an LLM that completes a
prompt, whichever process does.
"""

import signal
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, probe
from chaos.faults.llm_process.base import ProcessFault
from chaos.faults.llm_process.server import LOOK_S, health, why_not, works
from chaos.record.recovery_paths import LLM_CLIENT, LLM_DROP
from chaos.stack.base import Stack
from chaos.stack.proctree import await_stopped

_SILENCE_S = 0.7  # the supervisor kills a server that is deaf to a stop after 1.5 s


class LLMPaused(ProcessFault):
    name = "llm_paused"
    summary = "the LLM server is paused (SIGSTOP): it connects, and never answers"
    triage_path = LLM_DROP
    reconnection_path = LLM_CLIENT
    recovery_limit_s = 40.0

    _paused: Identity | None = None

    def available(self, stack: Stack) -> str | None:
        return why_not(stack)

    def inject(self, stack: Stack) -> None:
        def pause(server: Identity) -> bool:
            self._paused = server  # before it acts: whatever comes, recover knows it
            if not server.send(signal.SIGSTOP):
                return False
            await_stopped([server.pid])
            return server.lives()

        self.strike(stack, pause, "paused")

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        server = self._paused or self.server
        if server is None:
            return Evidence(False, {"attempts": 0})

        def look(measured: dict[str, Any]) -> bool:
            if not server.lives():
                return False
            before, runs = server.states(), server.switches()
            direct = health(stack, _SILENCE_S)
            after, still = server.states(), server.switches() == runs
            measured |= {
                "pid": server.pid,
                "states": after,
                "never_scheduled": still,
                "direct": direct.brief(),
            }
            stopped = set(before) == set(after) == {"T"}
            return stopped and still and direct.outcome == "timeout" and server.lives()

        return probe(look, deadline, LOOK_S, {"attempts": 0}, look_s=_SILENCE_S)

    def recover(self, stack: Stack) -> None:
        """SIGCONT for that very process; harmless where it runs or is gone."""
        if self._paused is not None:
            self._paused.send(signal.SIGCONT)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            server = self._paused
            states = server.states() if server is not None and server.lives() else ""
            measured |= {"states": states or "gone", **works(stack)}
            return "T" not in states and bool(measured["completes"])

        return probe(look, deadline, LOOK_S)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        if record.get("server"):
            Identity.recorded(record["server"]).send(signal.SIGCONT)
