"""llm_paused: SIGSTOP for the LLM server. The kernel accepts connections, nobody answers.

Waits (at most 70 % of the hold) for a healthy server. Proven by the kernel (all threads are
stopped, and none runs between two looks) and by a request that gets no answer. Healed by SIGCONT,
if the process still exists: a supervisor that is asked to stop it kills it in the end. Recovered
is an LLM that completes a prompt, in whichever process.
"""

import signal
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, probe
from chaos.faults.llm_process.base import ProcessFault
from chaos.faults.llm_process.server import LOOK_S, health, unavailable, works
from chaos.record.recovery_paths import LLM_CLIENT, LLM_DROP
from chaos.stack.base import Stack
from chaos.stack.proctree import await_stopped

_SILENCE_S = 0.7  # the supervisor kills a server that does not stop after 1.5 s


class LLMPaused(ProcessFault):
    name = "llm_paused"
    summary = "the LLM server is paused (SIGSTOP): it connects, and never answers"
    triage_path = LLM_DROP
    reconnection_path = LLM_CLIENT
    recovery_limit_s = 40.0

    _paused: Identity | None = None

    def available(self, stack: Stack) -> str | None:
        return unavailable(stack)

    def inject(self, stack: Stack) -> None:
        def pause(server: Identity) -> bool:
            self._paused = server  # before the signal, so that recover always knows it
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
            after, idle = server.states(), server.switches() == runs
            measured |= {
                "pid": server.pid,
                "states": after,
                "never_scheduled": idle,
                "direct": direct.brief(),
            }
            stopped = set(before) == set(after) == {"T"}
            return stopped and idle and direct.outcome == "timeout" and server.lives()

        return probe(look, deadline, LOOK_S, {"attempts": 0}, look_s=_SILENCE_S)

    def recover(self, stack: Stack) -> None:
        """SIGCONT, which does nothing if the process runs or has ended."""
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
