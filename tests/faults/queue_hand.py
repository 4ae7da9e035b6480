"""A queue without a Watcher: the test does what a Watcher does, or must not do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.yamlfile import load
from chaos.faults.base import Fault, parse_params
from chaos.faults.queue.base import QueueFault
from chaos.faults.queue.folder import QueueFolder
from chaos.record.target import Target
from chaos.stack.base import Stack

REPO = Path(__file__).resolve().parents[2]
FEW_S, LIMIT_S = 0.3, 60.0


class Hand:
    """Stands for a stack: a workspace, and a process in the Watcher's place (`sleep`)."""

    def __init__(self, workspace: Path) -> None:
        self.target = load(REPO / "experiments" / "targets" / "reference.yaml", Target)
        self.workspace = workspace
        self.folder = QueueFolder(workspace, self.target.work)
        for place in ("claimed", "archive", "quarantine"):
            (workspace / "watcher_requests" / place).mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.started = self._decisions = 0
        self.refuses = self.code = 0
        self.start()

    def service(self, name: str) -> Hand:
        assert name in ("watcher", "proxy")
        return self

    def start(self) -> None:
        if self.refuses:
            from chaos.base.errors import EnvironmentProblem

            raise EnvironmentProblem("watcher ended with exit code 4 at its start")
        self.process = subprocess.Popen(["sleep", "60"])
        self.started += 1

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT_S)
            self.process = None

    def alive(self) -> bool:
        return self.process is not None

    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def exit_code(self) -> int:
        return self.code

    def read(self, name: str) -> None:
        """As the Watcher reads a pending file."""
        (self.folder.submit / name).read_bytes()

    def move(self, name: str, folder: str) -> None:
        (self.folder.submit / name).rename(self.folder.submit / folder / name)

    def work(self, name: str) -> None:
        """Take it, decide it, archive it."""
        self._decisions += 1
        entry = {
            "decision_id": f"d{self._decisions:06d}",
            "request_file": name,
            "dispatch": "dispatch_selfplay",
            "status": "COMPLETED",
        }
        with (self.workspace / self.target.decisions.path).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        self.move(name, "archive")


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    made = Hand(tmp_path / "workspace")
    yield made
    made.kill()


def stack(hand: Hand) -> Stack:
    return cast(Stack, hand)


def made(kind: type[Fault], hand: Hand, **raw: Any) -> Any:
    """A fault of this kind, armed."""
    fault = kind("f001", parse_params(kind, raw, place="test"))
    assert fault.available(stack(hand)) is None
    fault.undo_record(stack(hand))
    return fault


def effect(fault: QueueFault, hand: Hand, limit_s: float = FEW_S) -> Any:
    return fault.effect(stack(hand), Deadline(limit_s))


def recovered(fault: QueueFault, hand: Hand, limit_s: float = FEW_S) -> Any:
    return fault.recovered(stack(hand), Deadline(limit_s))
