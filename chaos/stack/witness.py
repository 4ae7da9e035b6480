"""The witnesses of a stack: of its system calls, and of what goes over its links.

The first one's programs are in images/witness. Its supervisor watches every process that is started
through `enter.py`, and all that these start. If it dies, the watched calls of all of them fail: the
run must end then, because nothing is seen any more.

The second one (images/wire_witness) captures frames. It is passive, but a run that is seen in part
is no evidence: its death ends the run, too.
"""

import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.record.rundir import RunDir
from chaos.stack.process import LocalService, Surroundings, run_command

_START_LIMIT_S = 10.0
_PROBE_LIMIT_S = 10.0


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
        self._enter = (sys.executable, "-ES", str(programs / "enter.py"), str(door))

    def watched(self, where: Surroundings, name: str) -> Surroundings:
        """`where`, for a program that is watched as a process of `name`."""
        return Surroundings(where.cwd, where.env, (*self._enter, name, "--"))

    def problem(self, where: Surroundings) -> str:
        """Why no program can be watched here; "" if one can."""
        done = run_command(["true"], self.watched(where, "probe"), _PROBE_LIMIT_S)
        return "" if done.exit_code == 0 else done.output.strip() or f"exit code {done.exit_code}"


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
