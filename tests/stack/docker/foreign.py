"""Objects in the engine that are nobody's business: whatever is cleaned, they must stay."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from docker import DockerClient

from chaos.stack.docker.objects import RUN_LABEL


@contextmanager
def planted(client: DockerClient, image: str) -> Iterator[list[str]]:
    """A container, a network and a volume of somebody else's, twice: with no label of ours, and
    with the label of another run. Gives out their names; removes them afterwards.
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
    if name in {c.name for c in client.containers.list(all=True)}:
        found.add("container")
    if name in {n.name for n in client.networks.list()}:
        found.add("network")
    if name in {v.name for v in client.volumes.list()}:
        found.add("volume")
    return found


EVERYTHING = {"container", "network", "volume"}
