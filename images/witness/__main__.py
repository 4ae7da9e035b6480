"""Shows what a program does to files, processes and sockets, call by call.

    python images/witness -- PROGRAM [ARGUMENT...]        prints it, one JSON line a call, on stderr
    python images/witness --record FILE -- PROGRAM ...    into FILE
    python images/witness --record FILE --socket SOCKET   watches what enter.py hands over, until
                                                          SIGTERM

The first form ends with the exit code of PROGRAM (128 + signal where one ended it).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from door import Door
from guard import Guard
from record import Record
from supervisor import Supervisor

_HERE = Path(__file__).resolve().parent


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python images/witness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--record", type=Path, help="write the lines there (default: stderr)")
    parser.add_argument("--socket", type=Path, help="watch what is handed over at this Unix socket")
    parser.add_argument(
        "--protect",
        type=int,
        action="append",
        default=[],
        metavar="PID",
        help="refuse signals that would reach this process, or the witness (may be repeated)",
    )
    parser.add_argument("--root", default="", help="note paths below this folder from there on")
    parser.add_argument("program", nargs="*", metavar="-- PROGRAM")
    options = parser.parse_args(argv)
    if bool(options.program) == bool(options.socket):
        parser.error("give either a program after -- or --socket")
    return options


def main(argv: Sequence[str]) -> int:
    """Watch a program, or what is handed over at a socket; returns the exit code."""
    options = _arguments(argv)
    record = Record.at(options.record) if options.record else Record(sys.stderr)
    guard = Guard([os.getpid(), *options.protect]) if options.protect else None
    supervisor = Supervisor(record, options.root, guard)
    try:
        if options.socket:
            return _serve(supervisor, options.socket)
        return _run(supervisor, options.program)
    finally:
        record.close()


def _serve(supervisor: Supervisor, path: Path) -> int:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    Door(path, supervisor)
    while not stopped:
        supervisor.step()
    return 0


def _run(supervisor: Supervisor, program: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="witness-") as folder:
        path = Path(folder, "door")
        Door(path, supervisor)
        enter = [sys.executable, str(_HERE / "enter.py"), str(path), "program", "--"]
        process = subprocess.Popen([*enter, *program])
        # Ctrl-C reaches the program, too; it decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while process.poll() is None or supervisor.busy:
            supervisor.step()
        return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
