"""Remove what runs in containers left in the engine, by label: for `chaos clean`.

Knows which engine a run used; nothing of how runs are executed.
"""

from collections.abc import Callable
from contextlib import closing, suppress

import docker.errors
from docker import DockerClient
from docker.models.images import Image

from chaos.base.errors import ChaosError
from chaos.record.rundir import RunDir
from chaos.runner.containers.settings import Settings
from chaos.stack.docker import engine, objects
from chaos.stack.docker.images import REPOSITORY, TAG_LENGTH
from chaos.stack.docker.pod import SERVICES

_CONTENT_LABEL = "io.chaos-gate.content"  # of what was built for a run
_TITLE_LABEL = "org.opencontainers.image.title"  # of every finished image, not of a stage
# Of the build stages that install packages: they stay, without a name and as large as the images,
# so that the next build is quick.
_STAGE_LABEL = "io.chaos-gate=image"


def remove(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """Remove what has the run's label; returns what could not be removed, as texts. Idempotent.

    An incomplete pod was perhaps still being made when its run was killed.
    """
    try:
        settings = Settings.read(run)
        if settings.removed:  # nothing is left, and the engine may no longer exist
            return []
        with closing(engine.connect(settings.engine)) as client:
            whole = set(SERVICES) <= objects.services(client, run.run_id)
            left = objects.remove_all(client, run.run_id, say, unanswered=not whole)
        if not left:
            with suppress(OSError):  # then the next `chaos clean` looks again
                settings.after_removal().write(run)
        settings.take_back(run)
    except ChaosError as problem:
        return [f"containers of {run.path}: {problem.message}"]
    return left


def remove_images(
    say: Callable[[str], None], *, repository: str = REPOSITORY, stage_label: str = _STAGE_LABEL
) -> list[str]:
    """Remove the images that were built for runs; returns those that could not be removed.

    Each change of the programs makes new images. An image that a container uses stays, with a
    message. Images that others built on ours also have our labels, so only our names are removed;
    the engine removes an image with its last name.
    """
    left: list[str] = []
    with closing(engine.connect()) as client, engine.problems_of("looking for images"):
        for image in client.images.list(filters={"label": _CONTENT_LABEL}):
            for name in _own_names(image, repository):
                _remove_image(client, image, name, say, left)
        stages = client.images.list(filters={"label": stage_label, "dangling": True})
        for image in stages:
            if not {_CONTENT_LABEL, _TITLE_LABEL} & image.labels.keys():
                _remove_image(client, image, str(image.id), say, left)
    return left


def _own_names(image: Image, repository: str) -> list[str]:
    """The names of the image that this project gives. An image built on ours has other names."""
    content = image.labels[_CONTENT_LABEL][:TAG_LENGTH]
    tags = {content, "local", "local-cuda"}
    return [
        name
        for name in image.tags
        if name.startswith(f"{repository}/") and name.rpartition(":")[2] in tags
    ]


def _remove_image(
    client: DockerClient, image: Image, name: str, say: Callable[[str], None], left: list[str]
) -> None:
    shown = name if ":" in name and name != image.id else f"{image.short_id} (a stage of a build)"
    if client.containers.list(all=True, ignore_removed=True, filters={"ancestor": str(image.id)}):
        say(f"image {shown}: a container uses it, left alone")
        return
    try:
        client.images.remove(name)
    except docker.errors.ImageNotFound:
        return
    except engine.ERRORS as error:
        left.append(shown)
        say(f"could not remove image {shown}: {error}")
    else:
        say(f"image {shown} removed")
