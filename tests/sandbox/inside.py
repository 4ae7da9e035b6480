"""The program that the sandbox tests run inside: a stand-in for the harness, with child processes.

`inside.py FOLDER EXIT_CODE [hold] [enter] [tree] [port]`: writes FOLDER/ready (JSON) once set up;
with `hold` it then waits until a signal comes (exit 130) or FOLDER/release exists.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from chaos.sandbox import enter

HOLD_LIMIT_S = 60.0
# A grandchild in another session that ignores SIGTERM and whose parent has ended.
ORPHAN = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    time.sleep(120)\n"
)


def main() -> int:
    folder, code, options = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    signals: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda number, _: signals.append(number))
    facts: dict[str, object] = {"pid": os.getpid(), "cwd": str(Path.cwd())}
    if "enter" in options:
        enter.enter([folder], tmp_mb=4)
        facts["tmp"] = [path.name for path in Path("/tmp").iterdir()]
    if "tree" in options:
        subprocess.run([sys.executable, "-S", "-E", "-c", ORPHAN], check=True)
        subprocess.Popen([sys.executable, "-S", "-E", "-c", "import time; time.sleep(120)"])
    if "port" in options:
        server = socket.create_server(("127.0.0.1", 8080))
        with socket.create_connection(("127.0.0.1", 8080), timeout=5):
            facts["port"] = server.getsockname()[1]
    if "fill" in options:
        facts["errno"], facts["written"] = fill(Path("/tmp/filler"))
    facts["processes"] = sum(path.name.isdigit() for path in Path("/proc").iterdir())
    part = folder / f"ready.{os.getpid()}.part"
    part.write_text(json.dumps(facts))
    part.replace(folder / "ready")
    deadline_s = time.monotonic() + HOLD_LIMIT_S
    while "hold" in options and not signals and not (folder / "release").exists():
        if time.monotonic() > deadline_s:
            return 99
        time.sleep(0.01)
    if signals:
        time.sleep(0.1)  # a second delivery of the same Ctrl-C would arrive here
        (folder / "signals").write_text(json.dumps(signals))
        return 130
    return code


def fill(path: Path) -> tuple[int, int]:
    """Write until it fails. Returns (errno, bytes written)."""
    written = 0
    with path.open("wb", buffering=0) as stream:
        while written < 64_000_000:
            try:
                written += stream.write(b"x" * 65536)
            except OSError as error:
                return error.errno or 0, written
    return 0, written


if __name__ == "__main__":
    sys.exit(main())
