"""Targets on free ports, read from their files and really started: no sandbox, the built-in proxy.

The harness has no model here: the servers are stand-ins.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.base.deadline import Deadline
from chaos.base.shipped import IMAGES
from chaos.faults.base import Fault
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.runner.resolve import read_target
from chaos.stack.base import Stack
from chaos.stack.local.backend import LocalBackend
from tests.ports import free_ports

SERVER = Path(__file__).with_name("openai_server.py")
_ADDRESSES = ("endpoint", "upstream", "control", "proxy_api", "wire", "wire_control")


@dataclass
class NoAssets:
    """Stands for `chaos.assets.Assets`: no model is needed, and the built-in proxy is used."""

    model: Path = Path("/dev/null")
    toxiproxy: None = None


def addresses() -> dict[str, str]:
    """An `llm` section on ports that are free."""
    ports = free_ports(len(_ADDRESSES))
    return {name: f"127.0.0.1:{port}" for name, port in zip(_ADDRESSES, ports, strict=True)}


def written(folder: Path, text: str) -> Path:
    """The file of a target."""
    path = folder / "habit.yaml"
    path.write_text(text)
    return path


def read(folder: Path, text: str) -> Target:
    """The target of such a file, as a run reads it."""
    return read_target(str(written(folder, text)))[1]


@contextmanager
def brought_up(folder: Path, target: Target, steps: list[str] | None = None) -> Iterator[Stack]:
    """Its stack, as a run brings it up; nothing may be left of it afterwards."""
    run = RunDir(folder / uuid.uuid4().hex)
    run.logs.mkdir(parents=True)
    run.artefacts.mkdir()
    backend = LocalBackend(target, {}, run, NoAssets(), IMAGES, sandboxed=False)  # type: ignore[arg-type]
    told = [] if steps is None else steps
    try:
        yield backend.up(told.append)
    finally:
        assert backend.down() == []


def strike_and_heal(fault: Fault, stack: Stack) -> None:
    """Inject and undo a fault: its effect and its recovery must be proven."""
    fault.undo_record(stack)
    fault.inject(stack)
    effect = fault.effect(stack, Deadline(20))
    assert effect.proven, effect.measured
    fault.recover(stack)
    healed = fault.recovered(stack, Deadline(30))
    assert healed.proven, healed.measured
