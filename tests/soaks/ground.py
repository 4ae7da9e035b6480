"""The environment of a workload under test: a workspace folder, and a clock that the test sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from chaos.record.history import Event, HistoryWriter, Op, Record, read_history
from chaos.record.target import Target
from chaos.stack.base import CommandResult, Endpoint, Service

REFERENCE = Path(__file__).resolve().parents[2] / "experiments" / "targets" / "reference.yaml"


class ClockedHistory(HistoryWriter):
    """A real history whose clock the test sets, so that hours pass at once."""

    clock_s = 0.0

    def now_s(self) -> float:
        """The time that the test has set."""
        return self.clock_s


class Ground:
    """A workspace with the reference target's folders, and a history."""

    def __init__(self, folder: Path, history: HistoryWriter) -> None:
        self.target = reference()
        self.workspace = folder / "workspace"
        self.queue = self.workspace / self.target.work.submit.folder
        self.archive = self.queue / "archive"
        for name in ("archive", "claimed", "quarantine"):
            (self.queue / name).mkdir(parents=True)
        (self.workspace / self.target.source("draws").path).write_text('{"draws": []}')
        self.history = history
        self._path = folder / "history.jsonl"

    def records(self) -> list[Record]:
        return [record for _, record in read_history(self._path)]

    def ops(self, name: str) -> list[Op]:
        return [op for op in self.records() if isinstance(op, Op) and op.op == name]

    def events(self, name: str) -> list[Event]:
        return [
            event for event in self.records() if isinstance(event, Event) and event.name == name
        ]

    def pending(self) -> list[str]:
        return sorted(path.name for path in self.queue.glob("*.json"))

    def request(self, name: str) -> dict[str, Any]:
        content = json.loads((self.queue / name).read_text(encoding="utf-8"))
        assert isinstance(content, dict)
        return content

    def answer(self, count: int) -> None:
        """Archive the `count` oldest requests, as a Watcher does."""
        for name in self.pending()[:count]:
            (self.queue / name).rename(self.archive / name)


class OneService:
    """A stack that has only the service `watcher`, for a workload without an injector."""

    def __init__(self, workspace: Path, watcher: Service) -> None:
        self.workspace = workspace
        self.proxied_llm = self.direct_llm = Endpoint("127.0.0.1", 1)
        self.proxy: Any = None
        self._watcher = watcher

    def service(self, name: str) -> Service:
        return {"watcher": self._watcher}[name]

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        raise NotImplementedError

    def collect(self, destination: Path) -> None:
        raise NotImplementedError


def reference() -> Target:
    """The shipped profile of the reference Watcher."""
    return msgspec.convert(yaml.safe_load(REFERENCE.read_text(encoding="utf-8")), Target)
