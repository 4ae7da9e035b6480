"""What runs in containers left in the engine, found by their label and removed: for `chaos clean`.

Knows which engine a run used; nothing of how runs are lived.
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
# Of the stages that packages are installed in: they stay behind without a name, as large as the
# images, so that the next build is quick.
_STAGE_LABEL = "io.chaos-gate=image"


def remove(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """Remove what carries the run's label; what could not be removed, for people. Idempotent.

    A pod that is not whole may have been in the making when its run was killed.
    """
    try:
        settings = Settings.read(run)
        if settings.removed:  # nothing is left, and the engine may be gone by now
            return []
        with closing(engine.connect(settings.engine)) as client:
            whole = set(SERVICES) <= objects.services(client, run.run_id)
            left = objects.remove_all(client, run.run_id, say, unanswered=not whole)
        if not left:
            with suppress(OSError):  # a folder that cannot be written to is looked at again
                settings.after_removal().write(run)
        settings.take_back(run)
    except ChaosError as problem:
        return [f"containers of {run.path}: {problem.message}"]
    return left


def remove_images(
    say: Callable[[str], None], *, repository: str = REPOSITORY, stage_label: str = _STAGE_LABEL
) -> list[str]:
    """Remove the images that were built for runs; what could not be removed, for people.

    Each change of the programs makes new ones. One that a container uses stays, and is said. What
    others have built on ours has our labels too, and keeps its name: names are removed, and with
    its last one an image goes.
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
    """Those that this project gives: a later image that has our labels has another name."""
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
    if client.containers.list(all=True, filters={"ancestor": str(image.id)}):
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
