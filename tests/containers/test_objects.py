"""What a run made is removed by its label alone, whatever it or others are called."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from chaos.containers import engine, leftovers, objects
from tests.containers.foreign import EVERYTHING, planted, present

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


@pytest.fixture
def client(docker_engine: str) -> Iterator[DockerClient]:
    with closing(engine.connect(docker_engine)) as made:
        yield made


@pytest.fixture
def image(client: DockerClient) -> str:
    """Any image: nothing of it is started here."""
    found = client.images.list()
    if not found:
        pytest.skip("the engine has no image yet: the tests that build them come first")
    return str(found[0].id)


def test_all_of_a_run_and_nothing_else_is_removed(client: DockerClient, image: str) -> None:
    run_id = f"objects-{uuid.uuid4().hex[:12]}"
    labels = {objects.RUN_LABEL: run_id}
    name = f"mine-{uuid.uuid4().hex[:12]}"
    with planted(client, image) as foreign:
        client.networks.create(name, labels=labels)
        client.volumes.create(name, labels=labels)
        client.containers.create(image, ["true"], name=name, labels=labels, network=name)
        assert len(objects.names(client, run_id)) == 3
        said: list[str] = []
        assert objects.remove(client, run_id, said.append) == []
        assert len(said) == 3 and all("removed" in text for text in said)
        assert objects.names(client, run_id) == []
        assert objects.remove(client, run_id) == []
        for other in foreign:
            assert present(client, other) == EVERYTHING


def test_what_cannot_be_removed_is_told_and_the_rest_is_removed(
    client: DockerClient, image: str
) -> None:
    """A volume of the run that somebody else's container holds."""
    run_id = f"objects-{uuid.uuid4().hex[:12]}"
    labels = {objects.RUN_LABEL: run_id}
    name = f"held-{uuid.uuid4().hex[:12]}"
    client.volumes.create(name, labels=labels)
    client.networks.create(name, labels=labels)
    holder = client.containers.create(image, ["true"], volumes={name: {"bind": "/held"}})
    try:
        left = objects.remove(client, run_id)
        assert len(left) == 1 and f"volume {name}" in left[0]
        assert objects.names(client, run_id) == [f"volume {name}"]
    finally:
        holder.remove(force=True)
    assert objects.remove(client, run_id) == []


def test_images_of_ours_are_removed_unless_used(client: DockerClient, image: str) -> None:
    """Two like built ones, of which a container uses one; a stage; and two of somebody else's."""
    mark = uuid.uuid4().hex[:12]
    source = client.containers.create(image, ["true"])
    names = {}
    try:
        for kind, labels in (("used", True), ("idle", True), ("foreign", False)):
            change = f'LABEL io.chaos-gate.content="{mark}-{kind}"' if labels else "ENV A=1"
            # A label of an image it is made from would come along.
            made = source.commit(repository=f"chaos-test-{kind}", tag=mark, changes=change)
            names[kind] = str(made.id)
        for kind in ("stage", "foreign-stage"):  # without a name
            names[kind] = str(source.commit(changes=f'LABEL {kind}="{mark}"').id)
        user = client.containers.create(names["used"], ["true"])
        said: list[str] = []
        try:
            only = [f"io.chaos-gate.content={mark}-{kind}" for kind in ("used", "idle")]
            leftovers.remove_images(said.append, labels=only, stage_labels=[f"stage={mark}"])
        finally:
            user.remove(force=True)
        there = {str(one.id) for one in client.images.list(all=True)}
        assert names["used"] in there and names["idle"] not in there
        assert names["foreign"] in there
        assert names["stage"] not in there and names["foreign-stage"] in there
        assert sum("left alone" in text for text in said) == 1
    finally:
        source.remove(force=True)
        for name in names.values():
            with contextlib.suppress(ImageNotFound):
                client.images.remove(name, force=True)
