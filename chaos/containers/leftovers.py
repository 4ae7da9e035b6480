"""What runs in containers left in the engine, found by their label and removed: for `chaos clean`.

Knows which engine a run used; nothing of how runs are lived.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import docker.errors
import requests

from chaos.containers import engine, objects
from chaos.containers.settings import Settings
from chaos.errors import ChaosError
from chaos.rundir import RunDir

_ROUNDS_MAX = 5
_IMAGE_LABEL = "io.chaos-gate.content"  # of what was built for a run, whatever it is called
# Of the stages that packages are installed in: they stay behind without a name, as large as the
# images, so that the next build is quick.
_STAGE_LABEL = "io.chaos-gate=image"


def remove(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """Remove what carries the run's label; what could not be removed, for people. Idempotent.

    In rounds: a call that was under way when the harness was killed may still make something.
    """
    try:
        settings = Settings.read(run)
        with closing(engine.connect(settings.engine)) as client:
            for _ in range(_ROUNDS_MAX):
                left = objects.remove(client, run.run_id, say)
                if not objects.names(client, run.run_id):
                    break
            else:
                left = left or objects.names(client, run.run_id)
        settings.take_back(run)
    except ChaosError as problem:
        return [f"containers of {run.path}: {problem.message}"]
    return left


def remove_images(
    say: Callable[[str], None],
    *,
    labels: Sequence[str] = (_IMAGE_LABEL,),
    stage_labels: Sequence[str] = (_STAGE_LABEL,),
) -> list[str]:
    """Remove the images that were built for runs; what could not be removed, for people.

    Each change of the programs makes new ones. One that a container uses stays, and is said.
    """
    left: list[str] = []
    with closing(engine.connect()) as client:
        wanted: list[dict[str, Any]] = [{"label": label} for label in labels]
        wanted += [{"label": label, "dangling": True} for label in stage_labels]
        found = {str(i.id): i for filters in wanted for i in client.images.list(filters=filters)}
        for image in found.values():
            name = ", ".join(image.tags) or f"{image.short_id} (a stage of a build)"
            used = client.containers.list(all=True, filters={"ancestor": str(image.id)})
            if used:
                say(f"image {name}: a container uses it, left alone")
                continue
            try:
                client.images.remove(str(image.id), force=True)
            except (docker.errors.DockerException, requests.RequestException) as error:
                left.append(name)
                say(f"could not remove image {name}: {error}")
            else:
                say(f"image {name} removed")
    return left
