"""A container under test: run commands in it, wait for it with a limit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container

from chaos.runner.containers.settings import Settings

LIMIT_S = 90.0
PYTHON = "/opt/venv/bin/python"


@dataclass
class Running:
    """One container."""

    container: Container

    def ask(self, *argv: str, user: str = "") -> tuple[int, str]:
        """Exit code and output of a command inside."""
        done = self.container.exec_run(list(argv), user=user)
        return int(done.exit_code), bytes(done.output).decode(errors="replace").strip()

    def http(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        """Send an HTTP request from inside the container, and return the JSON answer."""
        program = (
            "import sys, urllib.request as u\n"
            "data = sys.argv[3].encode() or None\n"
            "asked = u.Request(sys.argv[2], data=data, method=sys.argv[1])\n"
            "sys.stdout.buffer.write(u.urlopen(asked, timeout=10).read())\n"
        )
        text = "" if body is None else json.dumps(body)
        code, output = self.ask("python3", "-c", program, method, url, text)
        assert code == 0, output
        answer = json.loads(output or "{}")
        assert isinstance(answer, dict)
        return answer

    def answers(self, url: str) -> bool:
        """Whether anything answers there, from inside."""
        program = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)"
        return self.ask("python3", "-c", program, url)[0] == 0

    def health(self) -> str:
        """What the engine makes of the health check: starting, healthy, unhealthy."""
        self.container.reload()
        return str(self.container.attrs["State"]["Health"]["Status"])


def some_settings() -> Settings:
    """Of a run in containers, for tests that need no engine."""
    return Settings(
        engine="unix:///nowhere",
        compose_argv=(),
        compose_version="1.29.2",
        images={name: f"chaos-gate/{name}:x" for name in ("injector", "llm", "watcher")},
        digests={},
        engine_facts={},
        model="/somewhere/model.gguf",
        gpu=False,
        user_id=1234,
        group_id=5678,
    )
