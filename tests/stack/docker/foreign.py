"""Foreign objects in the engine, which must survive every clean-up."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from docker import DockerClient

from chaos.stack.docker.objects import RUN_LABEL


@contextmanager
def planted(client: DockerClient, image: str) -> Iterator[list[str]]:
    """Foreign containers, networks and volumes: without our label, and with that of another run.

    Yields their names, and removes them afterwards.
    """
    mark = uuid.uuid4().hex[:12]
    made: list[str] = []
    try:
        for kind, labels in (("bare", {}), ("other", {RUN_LABEL: f"another-run-{mark}"})):
            name = f"chaos-{kind}-{mark}"  # a name like ours: it must not decide
            client.networks.create(name, labels=labels)
            client.volumes.create(name, labels=labels)
            client.containers.create(image, ["true"], name=name, labels=labels, network=name)
            made.append(name)
        yield made
    finally:
        for name in made:
            client.api.remove_container(name, force=True)
            client.api.remove_network(name)
            client.api.remove_volume(name, force=True)


def present(client: DockerClient, name: str) -> set[str]:
    """Which of the three objects called `name` are there."""
    found = set()
    if name in {c.name for c in client.containers.list(all=True, ignore_removed=True)}:
        found.add("container")
    if name in {n.name for n in client.networks.list()}:
        found.add("network")
    if name in {v.name for v in client.volumes.list()}:
        found.add("volume")
    return found


EVERYTHING = {"container", "network", "volume"}
