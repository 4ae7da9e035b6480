"""The witnesses of a stack: of its system calls, and of what goes over its links.

The first one's programs are in images/witness. Its supervisor watches every process that is started
through `enter.py`, and all that these start. If it dies, the watched calls of all of them fail: the
run must end then, because nothing is seen any more.

The second one (images/wire_witness) captures frames. It is passive, but a run that is seen in part
is no evidence: its death ends the run, too.

Knows no backend: `NewService` starts a program where the backend wants it.
"""

import json
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.base.deadline import Deadline
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.stack.base import CommandResult, Endpoint, Service
from chaos.stack.call_rules import SystemCallRules
from chaos.stack.process import Surroundings

READY_LIMIT_S = 10.0
NOT_WATCHED = 125  # exit code of a program that could not be watched (images/witness/enter.py)
_PROBE_LIMIT_S = 10.0
_PROBE = "probe"
_RECORDED_LIMIT_S = 5.0
_LOOK_S = 0.02

# Name, command line, and the file that it writes when it is ready. Nothing is started yet.
NewService = Callable[[str, Sequence[str], Path], Service]


class SystemCallWitness:
    """`door`: the path of its Unix socket, at most 106 bytes. `record`: what it writes.

    Paths below `root` are noted from there on. Signals to the processes `protected` are refused.
    """

    def __init__(
        self,
        programs: Path,
        door: Path,
        record: Path,
        root: Path,
        new_service: NewService,
        protected: Sequence[int] = (),
    ) -> None:
        argv = [
            *(sys.executable, str(programs)),
            *("--socket", str(door)),
            *("--record", str(record)),
            *("--root", str(root)),
            *(f"--protect={pid}" for pid in protected),
        ]
        self.service = new_service("witness", argv, door)
        self._record = record
        self.rules = SystemCallRules(door, record)
        self._enter = (sys.executable, "-ES", str(programs / "enter.py"), str(door))

    def entry(self, name: str) -> tuple[str, ...]:
        """What stands before the command of a program that is watched as a process of `name`."""
        return (*self._enter, name, "--")

    def watched(self, where: Surroundings, name: str) -> Surroundings:
        """`where`, for a program that is watched as a process of `name`."""
        return Surroundings(where.cwd, where.env, self.entry(name))

    def problem(self, run: Callable[[Sequence[str], float], CommandResult]) -> str:
        """Why no program that is started by `run` (argv, limit) can be watched; "" if one can."""
        done = run([*self.entry(_PROBE), sys.executable, "-c", ""], _PROBE_LIMIT_S)
        if done.exit_code != 0:
            return done.output.strip() or f"exit code {done.exit_code}"
        deadline = Deadline(_RECORDED_LIMIT_S)
        while (seen := self._probed()) is None:
            if not deadline.wait(_LOOK_S):
                return "the supervisor has not noted the program that was tried"
        return f"the memory of what calls cannot be read: {seen}" if seen else ""

    def _probed(self) -> str | None:
        """Why the probe's call could not be read ("": it could); None while it is not noted."""
        lines = self._record.read_bytes().splitlines(keepends=True)
        noted: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith(b"\n")]
        probes = {line["pid"] for line in noted if line.get("service") == _PROBE}
        for line in noted:
            if line["call"] == "exec" and line["pid"] in probes:
                return str(line.get("unread", ""))
        return None


def cannot_capture() -> str:
    """Why frames cannot be captured here; "" if they can."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return f"capturing needs CAP_NET_RAW, which the sandbox gives: {error}"
    return ""


def wire_witness(programs: Path, run: RunDir, target: Target, new_service: NewService) -> Service:
    """The witness of the connections to the LLM's proxy, its server and the server's supervisor,
    and of the target's further links.
    """
    llm = target.llm
    links = {"llm": llm.endpoint, "upstream": llm.upstream, "control": llm.control}
    links |= {name: link.endpoint for name, link in target.links.items()}
    argv = [
        *(sys.executable, str(programs)),
        *("--record", str(run.wire)),
        *("--pcap", str(run.pcap)),
        *(f"{name}={Endpoint.parse(text).port}" for name, text in links.items()),
    ]
    return new_service("wire_witness", argv, run.wire)
