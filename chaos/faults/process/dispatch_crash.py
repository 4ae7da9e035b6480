"""watcher_dispatch_crash: the Watcher is killed while it processes a request.

Waits within its hold until a dispatch child runs, and kills the Watcher then; it submits no work
itself. At that moment the request is claimed, the LLM server stopped, and nothing committed: a
Watcher that does not recover its state loses the request or processes it twice. Proven by the end
of the process by signal 9 while the child ran. Recovered when a new process works and the request
is archived with a decision; the check `exactly_once` judges that it is only one.
Source: the defects of real Watchers ("crash in mid-dispatch").
"""

import signal
import time
from collections.abc import Sequence
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.base.files import matching
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, probe
from chaos.faults.params import FaultParams, duration
from chaos.faults.process.service import ServiceFault
from chaos.record.recovery_paths import PROCESS_DIED, WATCHER_RESTART
from chaos.record.work import PlaceName
from chaos.stack.base import Stack

_DEAD_S_MIN = 2.0  # the last part of the hold, in which no child is waited for
_END_LIMIT_S = 2.0
_LOOK_S = 0.004
_NAMES_MAX = 20


class WatcherDispatchCrash(ServiceFault):
    name = "watcher_dispatch_crash"
    summary = "the Watcher is killed (SIGKILL) while it has a request in work"
    service = "watcher"
    ends = frozenset({"watcher"})
    triage_path = PROCESS_DIED
    reconnection_path = WATCHER_RESTART
    recovery_limit_s = 60.0  # the request is worked again from its beginning

    class Params(FaultParams):
        hold: Annotated[
            float, duration("the wait for a dispatch and the time it stays dead", 4.0, 86400)
        ] = 15.0

    params: Params

    _child: Identity | None = None
    _command = ""
    _waited_s = 0.0
    _requests: Sequence[str] = ()

    def inject(self, stack: Stack) -> None:
        start_s = time.monotonic()
        deadline = Deadline(self.params.hold - _DEAD_S_MIN)
        own = self.first.command()
        while self.first.lives():
            child = self._dispatch_child(own)
            if child is not None:
                self._requests = _in(stack, "claimed")
                self._command = child.command().replace(b"\0", b" ").decode(errors="replace")
                self._child = child
                self.first.send(signal.SIGKILL)
                self.mark_down()
                break
            if not deadline.wait(_LOOK_S):
                break
        self._waited_s = round(time.monotonic() - start_s, 3)
        end = Deadline(_END_LIMIT_S)
        while self._child is not None and self.first.lives() and end.wait(_LOOK_S):
            pass

    def _dispatch_child(self, own: bytes) -> Identity | None:
        """A child with another command line than the Watcher's: one that has called exec."""
        children = self.first.children()
        return next((child for child in children if child.command() not in (b"", own)), None)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        measured: dict[str, Any] = {"waited_s": self._waited_s}
        if self._child is None:
            why = "no dispatch child ran meanwhile; the fault needs work in the queue"
            return Evidence(False, {**measured, "reason": why})
        end = self.gone(stack, deadline)
        decided = [name for name in self._requests if _decisions(stack, name)]
        measured |= {
            **end.measured,
            "child": self._child.pid,
            "child_command": self._command[:200],
            "child_lives": self._child.lives(),
            "requests": list(self._requests[:_NAMES_MAX]),
            "decided": decided[:_NAMES_MAX],
        }
        proven = end.proven and end.measured["exit_code"] == -signal.SIGKILL and not decided
        if proven:
            measured["path_taken"] = f"process {self.first.pid} ended by signal 9 in mid-dispatch"
        return Evidence(proven, measured)

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        if self._child is None:  # nothing was broken
            alive = stack.service(self.service).alive()
            return Evidence(alive, {"process": self.first.pid, "killed": False})
        returned = super().recovered(stack, deadline)
        if not returned.proven:
            return returned

        def look(measured: dict[str, Any]) -> bool:
            decisions = {name: _decisions(stack, name) for name in self._requests}
            archived = set(self._requests) & set(_in(stack, "archived"))
            measured |= {"decisions": decisions, "archived": sorted(archived)}
            decided = all(decisions.values()) or not stack.target.decisions.path
            done = decided and len(archived) == len(self._requests)
            if done:
                measured["path_taken"] = "a new process finished the requests of the first one"
            return done

        return probe(look, deadline, 0.1, returned.measured)


def _in(stack: Stack, place: PlaceName) -> list[str]:
    """The requests in this place."""
    work = stack.target.work
    paths = matching(stack.workspace, work.places().get(place, ""))
    return work.requests(place, sorted(path.name for path in paths))


def _decisions(stack: Stack, request: str) -> int:
    """Lines of the decision log that name `request`."""
    try:
        lines = (stack.workspace / stack.target.decisions.path).read_bytes().splitlines()
    except OSError:
        return 0
    return sum(f'"{request}"'.encode() in line for line in lines)
