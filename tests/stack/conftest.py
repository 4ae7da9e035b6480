"""A small target of our own: the stack must not depend on one Watcher."""

from __future__ import annotations

import json
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from chaos.assets import Assets
from chaos.base.yamlfile import load
from chaos.record.rundir import RunDir
from chaos.record.target import Install, PolicyFile, ServiceSpec, Target, Workspace
from chaos.stack.local.backend import LocalBackend

TINY = Path(__file__).with_name("tiny_watcher.py")


def free_ports(count: int) -> list[int]:
    """Ports that were free at the same moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def tiny_target(repo: Path) -> Target:
    """The reference profile with the tiny Watcher in its place, on free ports."""
    reference = load(repo / "experiments" / "targets" / "reference.yaml", Target)
    names = ("endpoint", "upstream", "control", "proxy_api", "wire", "wire_control")
    ports = free_ports(len(names))
    endpoints = {name: f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
    return replace(
        reference,
        target="tiny",
        workspace=Workspace(
            size_mb=16,
            install=[Install(source="tiny", to=".")],
            prepare=[["{python}", "tiny_watcher.py", "prepare"]],
        ),
        env={"TINY_INTERVAL": "{draw_interval_s}"},
        watcher=ServiceSpec(
            start=["{python}", "tiny_watcher.py", "watch"], ready_file="watcher_status.json"
        ),
        injector=ServiceSpec(
            start=["{python}", "tiny_watcher.py", "inject"], ready_file="injector_status.json"
        ),
        llm=replace(reference.llm, **endpoints),
        policies=PolicyFile(path="policies.json", values={"llm.timeout": "{llm_timeout_s}"}),
    )


@pytest.fixture
def tiny_images(tmp_path: Path, repo: Path) -> Path:
    """A folder like images/ with the real LLM programs and the tiny Watcher."""
    images = tmp_path / "images"
    shutil.copytree(
        repo / "images" / "llm", images / "llm", ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    (images / "tiny" / "__pycache__").mkdir(parents=True)
    (images / "tiny" / "__pycache__" / "stale.pyc").write_bytes(b"stale")
    shutil.copy(TINY, images / "tiny" / TINY.name)
    (images / "tiny" / "policies.json").write_text(json.dumps({"llm": {"attempts": 2}}))
    return images


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """An empty run directory with an id of its own: `down` kills whatever carries the id."""
    run = RunDir(tmp_path / "tiny" / uuid.uuid4().hex)
    run.logs.mkdir(parents=True)
    run.artefacts.mkdir()
    return run


@pytest.fixture
def backend(
    tiny_target: Target, tiny_images: Path, run_dir: RunDir, assets: Assets
) -> Iterator[Callable[..., LocalBackend]]:
    """`backend(target=, assets=, cancel=)` -> a plain-mode backend; taken down afterwards."""
    made: list[LocalBackend] = []

    def make(**changes: Any) -> LocalBackend:
        parts = {"target": tiny_target, "assets": assets, "cancel": None, "needs": (), **changes}
        settings = {"draw_interval_s": 3, "llm_timeout_s": 4}
        made.append(
            LocalBackend(
                parts["target"],
                settings,
                run_dir,
                parts["assets"],
                tiny_images,
                sandboxed=False,
                cancel=parts["cancel"],
                needs=frozenset(parts["needs"]),
            )
        )
        return made[-1]

    yield make
    for one in made:
        assert one.down() == []
