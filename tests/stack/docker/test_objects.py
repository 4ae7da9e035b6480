"""What a run made is removed by its label alone, whatever it or others are called."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from docker import DockerClient
from docker.errors import ImageNotFound

from chaos.runner.containers import leftovers
from chaos.stack.docker import engine, objects
from tests.stack.docker.foreign import EVERYTHING, planted, present

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


@pytest.fixture
def client(docker_engine: str) -> Iterator[DockerClient]:
    with closing(engine.connect(docker_engine)) as made:
        yield made


@pytest.fixture
def image(client: DockerClient) -> str:
    """Any image with a name and without the labels of what a run needs: nothing is started here.

    One without a name would go, as the engine has it, with the last that was made from it, and
    labels of ours would come along.
    """
    ours = {"io.chaos-gate.content", "org.opencontainers.image.title"}
    found = [i for i in client.images.list() if i.tags and not ours & i.labels.keys()]
    if not found:
        pytest.skip("the engine has no image yet: the tests that build them come first")
    return str(found[0].id)


def test_only_the_objects_of_the_run_are_removed(client: DockerClient, image: str) -> None:
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


def test_failed_removal_is_reported_and_the_others_go_on(client: DockerClient, image: str) -> None:
    """A volume of the run that a foreign container uses cannot be removed."""
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


def test_own_images_are_removed_unless_used(client: DockerClient, image: str) -> None:
    """By name: an image that users built on ours has our labels, and must stay."""
    mark = uuid.uuid4().hex[:12]
    ours = f"chaos-test-{mark}"
    source = client.containers.create(image, ["true"])
    tags = {
        "idle": f"{ours}/llm:{mark}",  # by its content
        "by hand": f"{ours}/llm:local",
        "used": f"{ours}/watcher:{mark}",
        "built on ours": f"{ours}/watcher:mine",
        "another name": f"{ours}-theirs:{mark}",
    }
    made: dict[str, str] = {}
    try:
        for kind, tag in tags.items():
            changes = [f'LABEL io.chaos-gate.content="{mark}00"', f'ENV KIND="{kind}"']
            repository, _, version = tag.rpartition(":")
            made[kind] = str(source.commit(repository, version, changes=changes).id)
        for kind, label in {
            "stage": f'LABEL stage="{mark}"',
            "unnamed": f'LABEL stage="{mark}" io.chaos-gate.content="x"',  # built on ours
            "foreign": "ENV A=1",
        }.items():
            made[kind] = str(source.commit(changes=[label]).id)
        user = client.containers.create(made["used"], ["true"])
        said: list[str] = []
        try:
            left = leftovers.remove_images(
                said.append, repository=ours, stage_label=f"stage={mark}"
            )
        finally:
            user.remove(force=True)
        assert left == []
        there = {str(one.id) for one in client.images.list(all=True)}
        assert {kind for kind, id_ in made.items() if id_ not in there} == {
            "idle",
            "by hand",
            "stage",
        }
        assert sum("left alone" in text for text in said) == 1
    finally:
        source.remove(force=True)
        for name in made.values():
            with contextlib.suppress(ImageNotFound):
                client.images.remove(name, force=True, noprune=True)
