"""The witnesses of a stack: of its system calls, and of what goes over its links.

The first one's programs are in images/witness. Its supervisor watches every process that is started
through `enter.py`, and all that these start. If it dies, the watched calls of all of them fail: the
run must end then, because nothing is seen any more.

The second one (images/wire_witness) captures frames. It is passive, but a run that is seen in part
is no evidence: its death ends the run, too.
"""

import json
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.record.rundir import RunDir
from chaos.stack.base import RuleState
from chaos.stack.process import LocalService, Surroundings, run_command

_START_LIMIT_S = 10.0
_PROBE_LIMIT_S = 10.0
_ANSWER_LIMIT_S = 5.0
_ANSWER_BYTES_MAX = 64 << 10


class SystemCallWitness:
    """`door`: the path of its Unix socket, at most 107 bytes. `record`: what it writes.

    Paths below `root` are noted from there on. Signals to the processes `protected` are refused.
    """

    def __init__(
        self,
        programs: Path,
        door: Path,
        record: Path,
        root: Path,
        where: Surroundings,
        log: Path,
        protected: Sequence[int] = (),
    ) -> None:
        argv = [
            *(sys.executable, str(programs)),
            *("--socket", str(door)),
            *("--record", str(record)),
            *("--root", str(root)),
            *(f"--protect={pid}" for pid in protected),
        ]
        self.service = LocalService(
            "witness", argv, where, log, ready_file=door, ready_limit_s=_START_LIMIT_S
        )
        self.rules = SystemCallRules(door)
        self._enter = (sys.executable, "-ES", str(programs / "enter.py"), str(door))

    def watched(self, where: Surroundings, name: str) -> Surroundings:
        """`where`, for a program that is watched as a process of `name`."""
        return Surroundings(where.cwd, where.env, (*self._enter, name, "--"))

    def problem(self, where: Surroundings) -> str:
        """Why no program can be watched here; "" if one can."""
        done = run_command(["true"], self.watched(where, "probe"), _PROBE_LIMIT_S)
        return "" if done.exit_code == 0 else done.output.strip() or f"exit code {done.exit_code}"


class WitnessProblem(EnvironmentProblem):
    """The system-call witness does not answer, or refuses a rule."""


class SystemCallRules:
    """Sets rules of the system-call witness behind `door`; see `chaos.stack.base.CallRules`.

    Each rule has a connection of its own: the witness drops it when that closes. Thread-safe.
    """

    def __init__(self, door: Path) -> None:
        self._door = door
        self._links: dict[str, socket.socket] = {}
        self._lock = threading.Lock()

    def put(self, rule_id: str, rule: Mapping[str, Any]) -> None:
        link = self._connected()
        try:
            self._ask(link, {"rule": {**rule, "id": rule_id}})
        except WitnessProblem:
            link.close()
            raise
        with self._lock:
            self._links[rule_id] = link

    def remove(self, rule_id: str) -> RuleState | None:
        with self._lock:
            link = self._links.pop(rule_id, None)
        if link is None:
            return None
        try:
            with link:
                link.shutdown(socket.SHUT_WR)
                answer = json.loads(link.recv(_ANSWER_BYTES_MAX) or "{}")
        except (OSError, ValueError) as error:
            raise self._problem(f"does not answer: {error}") from error
        gone = answer.get("gone")  # not there if the witness is dead
        return RuleState(*gone) if gone else None

    def rules(self) -> dict[str, RuleState]:
        with self._connected() as link:
            return self._ask(link, {})

    def _connected(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.settimeout(_ANSWER_LIMIT_S)
        try:
            link.connect(str(self._door))
        except OSError as error:
            link.close()
            raise self._problem(str(error)) from error
        return link

    def _ask(self, link: socket.socket, message: Mapping[str, Any]) -> dict[str, RuleState]:
        try:
            link.send(json.dumps(message).encode())
            answer = json.loads(link.recv(_ANSWER_BYTES_MAX))
        except (OSError, ValueError) as error:
            raise self._problem(f"does not answer: {error}") from error
        if "error" in answer:
            raise self._problem(answer["error"])
        states: dict[str, list[int]] = answer["rules"]
        return {name: RuleState(*state) for name, state in states.items()}

    def _problem(self, what: str) -> WitnessProblem:
        return WitnessProblem(
            f"the system-call witness at {self._door}: {what}",
            next_step="see logs/witness.log of the run",
        )


def cannot_capture() -> str:
    """Why frames cannot be captured here; "" if they can."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return f"capturing needs CAP_NET_RAW, which the sandbox gives: {error}"
    return ""


def wire_witness(
    programs: Path, run: RunDir, links: Mapping[str, int], where: Surroundings
) -> LocalService:
    """The witness of the connections to `links` (name -> TCP port)."""
    argv = [
        *(sys.executable, str(programs)),
        *("--record", str(run.wire)),
        *("--pcap", str(run.pcap)),
        *(f"{name}={port}" for name, port in links.items()),
    ]
    log = run.logs / "wire_witness.log"
    return LocalService(
        "wire_witness", argv, where, log, ready_file=run.wire, ready_limit_s=_START_LIMIT_S
    )
