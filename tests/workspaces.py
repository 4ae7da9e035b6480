"""A reference workspace made as the local backend makes it, for tests that need no stack."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from chaos.runner.resolve import read_target
from chaos.stack.workspace import install
from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[1]
IMAGES = REPO / "images"
LIMIT_S = 60.0


def fresh(path: Path) -> Path:
    """The programs, and nothing else."""
    path.mkdir(parents=True)
    install(read_target("reference")[1], IMAGES, path)
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """Identity, size and time of all that is in it, folders included."""
    return {
        str(path.relative_to(root)): (s.st_ino, s.st_size, s.st_mtime_ns)
        for path in root.rglob("*")
        for s in [path.lstat()]
    }


class Daemon:
    """The real Watcher in a workspace. Its LLM is absent: nobody listens where it asks."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.llm = f"127.0.0.1:{free_port()}"
        policies = workspace / "watcher_policies.json"
        content = json.loads(policies.read_text()) if policies.exists() else {}
        content["llm"] = {
            "endpoint": self.llm,
            "control": f"127.0.0.1:{free_port()}",
            "timeout_seconds": 1,
            "max_attempts": 1,
            "start_timeout_seconds": 1,
        }
        policies.write_text(json.dumps(content))
        self._log = (workspace.parent / "daemon.out").open("ab")
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        status = self.workspace / "watcher_status.json"
        status.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "agents/watcher_agent.py", "--daemon"],
            cwd=self.workspace,
            env={**os.environ, "PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_for("the Watcher is ready", lambda: status.exists() or process.poll() is not None)
        assert process.poll() is None
        return process

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(LIMIT_S)

    def restart(self) -> None:
        """Start it again."""
        self.process = self._start()

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.kill()
        self._log.close()
