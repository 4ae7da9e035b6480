"""A guardian under test, seen from outside."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.sandbox.guardian import marked_pids
from tests.waiting import wait_for

INSIDE = Path(__file__).with_name("inside.py")
LIMIT_S = 30.0


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


@dataclass
class Guarded:
    """A guardian under test, seen from outside."""

    process: subprocess.Popen[str]
    run_id: str
    folder: Path
    mode: str

    def ready(self) -> dict[str, Any]:
        """Wait for the inner program's report (the file `ready`), and return it."""
        path = self.folder / "ready"
        wait_for("the inner program is ready", lambda: path.exists() or self.ended())
        assert path.exists(), self.output()
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded

    def ended(self) -> bool:
        return self.process.poll() is not None

    def output(self) -> str:
        return self.process.communicate(timeout=LIMIT_S)[0]

    def exit_code(self) -> int:
        return self.process.wait(LIMIT_S)

    def chain(self) -> dict[str, int]:
        """Return the pid of each process from the guardian down to the run that exists now."""
        names = ["guardian", "unshare", "init", "run"]
        if self.mode == "plain":
            names.remove("unshare")
        pids, pid = {}, self.process.pid
        for name in names:
            pids[name] = pid
            below = children(pid)
            if not below:
                break
            pid = below[0]
        return pids

    def await_nothing_left(self) -> None:
        """Wait until no process has the run's id in its environment."""
        wait_for("every process is gone", lambda: not marked_pids(self.run_id))


Start = Callable[..., Guarded]
