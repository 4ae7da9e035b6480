"""The engine and the images, for the tests that need a container engine."""

from __future__ import annotations

import contextlib
import io
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import NotFound

from chaos.assets import Assets
from chaos.plan.plan import Plan
from chaos.plan.schedule import draw
from chaos.record.rundir import RunDir, create
from chaos.runner.resolve import Request, resolve
from chaos.stack.docker import engine, images
from chaos.stack.docker.images import Image
from tests.stack.docker.running import Running


@pytest.fixture(scope="session")
def client(docker_engine: str) -> Iterator[DockerClient]:
    """The engine that answers."""
    with closing(engine.connect()) as connected:
        yield connected


@pytest.fixture(scope="session")
def built(client: DockerClient, assets: Assets) -> dict[str, Image]:
    """The images, named by content, so that all tests share them."""
    assert assets.toxiproxy is not None, assets.toxiproxy_reason
    return images.ensure(client, say=lambda line: print(line, file=sys.stderr))


@pytest.fixture
def start(client: DockerClient) -> Iterator[Callable[..., Running]]:
    """Start containers, without a network of the host's; they are removed afterwards."""
    started: list[Running] = []

    def begin(image: str, *command: str, files: dict[str, Path] | None = None, **more: Any) -> Any:
        options = {"network_mode": "none", "cap_drop": ["ALL"], "init": True, **more}
        container = client.containers.create(image, list(command) or None, **options)
        running = Running(container)
        started.append(running)
        if files:
            container.put_archive("/", _tar(files))
        container.start()
        return running

    yield begin
    for running in started:
        with contextlib.suppress(NotFound):  # removed by the test itself
            running.container.remove(force=True, v=True)


def _tar(files: dict[str, Path]) -> bytes:
    """What `put_archive` takes: path in the container -> file here."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, path in files.items():
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = path.stat().st_size, 0o755
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return stream.getvalue()


@pytest.fixture
def plan() -> Plan:
    """A control run of soak C in containers."""
    return resolve(Request("soak_c", faults=["none"], seed=1, backend="docker"))


@pytest.fixture
def run(tmp_path: Path, plan: Plan) -> RunDir:
    """Its directory, before anything has begun."""
    made = create(tmp_path / "runs", plan.soak, plan.seed)
    made.write_json(made.config, plan.to_json())
    made.write_json(made.schedule, draw(plan).to_json())
    return made
