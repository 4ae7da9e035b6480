"""The system-call witness of a stack: its supervisor, and how a program is started under it.

The programs are in images/witness. The supervisor watches every process that is started through
`enter.py`, and all that these start. If it dies, the watched calls of all of them fail: the run
must end then, because nothing is seen any more.
"""

import sys
from pathlib import Path

from chaos.stack.process import LocalService, Surroundings, run_command

_START_LIMIT_S = 10.0
_PROBE_LIMIT_S = 10.0


class SystemCallWitness:
    """`door`: the path of its Unix socket, at most 107 bytes. `record`: what it writes.

    Paths below `root` are noted from there on.
    """

    def __init__(
        self, programs: Path, door: Path, record: Path, root: Path, where: Surroundings, log: Path
    ) -> None:
        argv = [
            *(sys.executable, str(programs)),
            *("--socket", str(door)),
            *("--record", str(record)),
            *("--root", str(root)),
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
