"""A workspace for the Watcher's tests: the real agent as a real process.

The pipeline is a stand-in (tiny_pipeline/), so that children can be fast, slow or failing as a test
needs. The real pipeline has its own tests, and test_watcher_real_llm.py uses both.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from wire_stand_in import StandIn

from tests.waiting import wait_for

HERE = Path(__file__).resolve().parent
IMAGE = HERE.parent.parent / "images" / "watcher"
LIMIT_S = 60.0
DECISIONS = "watcher_decisions.jsonl"


class Lab:
    """The workspace, and the daemon in it."""

    def __init__(self, root: Path, wire: StandIn) -> None:
        self.root = root
        self.wire = wire
        self.daemon: subprocess.Popen[bytes] | None = None
        self._output = (root.parent / "daemon.out").open("ab")
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(IMAGE / "agents", root / "agents", ignore=ignore)
        shutil.copytree(HERE / "tiny_pipeline", root / "pipeline", ignore=ignore)
        self.set_policies()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.daemon is not None and self.daemon.poll() is None:
            self.kill()
        self._output.close()

    def set_policies(self, **llm: Any) -> None:
        """Writes the policies file: short timeouts, overridden by `llm`."""
        document = {
            "poll_interval_seconds": 0.02,
            "llm": {
                "endpoint": self.wire.endpoint,
                "control": self.wire.control,
                "timeout_seconds": 10,
                "max_attempts": 2,
                "backoff_seconds": 0.02,
                "start_timeout_seconds": 10,
                **llm,
            },
            "dispatch": {"timeout_seconds": 60},
            "queue": {"settle_seconds": 0.3},
        }
        temporary = self.root / "policies.tmp"
        temporary.write_text(json.dumps(document))
        temporary.replace(self.root / "watcher_policies.json")

    def command(self, *arguments: str) -> list[str]:
        """A command line of the agent."""
        return [sys.executable, "agents/watcher_agent.py", *arguments]

    def environment(self) -> dict[str, str]:
        """The environment that the plan requires."""
        return {**os.environ, "PYTHONPATH": "."}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one command to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def start(self) -> None:
        """Starts the daemon, and waits until its status file exists."""
        (self.root / "watcher_status.json").unlink(missing_ok=True)
        self.spawn()
        wait_for("daemon ready", lambda: self.state() or self.ended())
        assert not self.ended(), self.output()

    def spawn(self) -> None:
        """Starts the daemon without waiting."""
        self.daemon = subprocess.Popen(
            self.command("--daemon"),
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def ended(self) -> bool:
        """True if the daemon has ended."""
        return self.daemon is not None and self.daemon.poll() is not None

    def kill(self) -> None:
        """kill -9."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait(LIMIT_S)

    def halt(self) -> int:
        """Halts the daemon as a user does, and removes the flag. Returns the exit code."""
        assert self.daemon is not None
        assert self.run("--halt", "test").returncode == 0
        code = self.daemon.wait(30)  # the contract's limit
        (self.root / "watcher_halt.flag").unlink()
        return code

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Signals the daemon. Returns its exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.daemon.wait(30)

    def output(self) -> str:
        """All that the daemon printed."""
        return (self.root.parent / "daemon.out").read_text(errors="replace")

    def state(self) -> str:
        """The state in watcher_status.json; empty while there is none."""
        with contextlib.suppress(FileNotFoundError):
            return str(json.loads((self.root / "watcher_status.json").read_text())["state"])
        return ""

    def put(self, name: str, content: bytes) -> Path:
        """Puts a file into the queue atomically."""
        folder = self.root / "watcher_requests"
        folder.mkdir(exist_ok=True)
        temporary = folder / f".{name}.new"
        temporary.write_bytes(content)
        return temporary.rename(folder / name)

    def submit(self, name: str, kind: str = "selfplay", **fields: Any) -> None:
        """Submits a request."""
        body: dict[str, Any] = {
            "request_type": kind,
            "source": "test",
            "timestamp": "2026-02-03T10:00:00Z",
            "reason": "test",
            "parameters": {"episodes": 1} if kind == "selfplay" else {"scope": "steps_3_5_6"},
            **fields,
        }
        self.put(name, json.dumps(body).encode())

    def names(self, folder: str = "") -> list[str]:
        """Names in a folder of the queue."""
        path = self.root / "watcher_requests" / folder
        names = (entry.name for entry in path.glob("*.json")) if path.is_dir() else ()
        return sorted(name for name in names if not name.endswith(".reason.json"))

    def archived(self) -> list[str]:
        """Names in the archive."""
        return self.names("archive")

    def quarantined(self) -> list[str]:
        """Names in quarantine, without the reasons."""
        return self.names("quarantine")

    def reason(self, name: str) -> dict[str, Any]:
        """The reason of a quarantined file."""
        path = self.root / "watcher_requests" / "quarantine" / f"{name}.reason.json"
        note: dict[str, Any] = json.loads(path.read_text())
        return note

    def decisions(self) -> list[dict[str, Any]]:
        """The decision log; every line must be JSON."""
        path = self.root / DECISIONS
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def decision(self, request_file: str) -> dict[str, Any]:
        """Waits until the request is archived, and returns its only decision."""
        wait_for(f"{request_file} archived", lambda: request_file in self.archived())
        [decision] = [d for d in self.decisions() if d["request_file"] == request_file]
        return decision

    def json(self, name: str) -> Any:
        """A JSON file of the workspace."""
        return json.loads((self.root / name).read_text())

    def assert_no_trouble(self) -> None:
        """Asserts that the daemon's output and logs have no traceback."""
        assert "Traceback" not in self.output()
        for path in (self.root / "logs").glob("watcher_agent*.log"):
            assert "Traceback" not in path.read_text(errors="replace")
