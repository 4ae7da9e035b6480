"""Prepare a run in containers, before its directory is written: engine, compose, images.

Starts nothing. Of the plan it knows only the target's addresses.
"""

import os
import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docker.errors
from docker import DockerClient
from docker.models.images import Image

from chaos.assets import Assets
from chaos.base.errors import EnvironmentProblem
from chaos.plan.plan import Plan
from chaos.runner.containers.settings import Settings, check_target, knobs, user
from chaos.stack.docker import compose, engine, images

OWN_WATCHER = "CHAOS_WATCHER_IMAGE"


def prepare(plan: Plan, assets: Assets, say: Callable[[str], None]) -> Settings:
    """The settings of the run. Raises `ChaosError` with the next step if something is missing."""
    check_target(plan)
    if assets.toxiproxy is None:
        raise EnvironmentProblem(
            f"the docker backend needs a real Toxiproxy: {assets.toxiproxy_reason}",
            next_step="set CHAOS_TOXIPROXY=/path/to/toxiproxy-server, or use --backend local",
        )
    command = compose.find()
    with closing(engine.connect()) as client:
        facts = engine.facts(client)
        if plan.gpu:
            engine.require_gpu(facts)
        built = images.ensure(
            client,
            variant="cuda" if plan.gpu else "cpu",
            base_image=os.environ.get("CHAOS_BASE_IMAGE"),
            say=say,
        )
        references = {name: image.reference for name, image in built.items()}
        digests = {name: image.id for name, image in built.items()}
        published: list[str] = []
        own = os.environ.get(OWN_WATCHER)
        if own:
            image = _image(client, own)
            references["watcher"] = own
            digests["watcher"] = str(image.id)
            published = sorted(image.attrs.get("RepoDigests") or [])
    user_id, group_id = (0, 0) if facts.rootless else user()
    model = Path(plan.target.llm.model) if plan.target.llm.model else assets.model
    _check_readable(model, user_id)
    return Settings(
        engine=facts.address,
        compose_argv=command.argv,
        compose_version=command.version,
        images=references,
        digests=digests,
        published=published,
        engine_facts=facts.to_json(),
        model=str(model),
        gpu=plan.gpu,
        user_id=user_id,
        group_id=group_id,
        knobs=knobs(gpu=plan.gpu),
        started_by_root=os.geteuid() == 0,
    )


def _check_readable(model: Path, user_id: int) -> None:
    """Without this check, a model that the pod's user cannot read looks like a hung server."""
    status = model.stat()
    if user_id in (0, os.geteuid(), status.st_uid) or status.st_mode & 0o004:
        return
    raise EnvironmentProblem(
        f"the user of the containers ({user_id}) cannot read the model",
        place=str(model),
        next_step=f"chmod o+r {shlex.quote(str(model))}",
    )


def _image(client: DockerClient, reference: str) -> Image:
    try:
        return client.images.get(reference)
    except docker.errors.ImageNotFound as error:
        raise EnvironmentProblem(
            f"there is no image {reference}",
            place=OWN_WATCHER,
            next_step=f"build or pull it (docker pull {reference}), or unset {OWN_WATCHER}",
        ) from error
