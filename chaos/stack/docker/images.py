"""The images of the stack: build those that the engine does not have.

The tag of an image is the digest of its content. So an image with the right tag is reused, and any
change makes a new one. Knows nothing of containers.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from requests import RequestException

from chaos.assets import toxiproxy
from chaos.base.errors import EnvironmentProblem
from chaos.base.shipped import ROOT, revision
from chaos.base.version import __version__
from chaos.stack.docker import building, context, wheels
from chaos.stack.docker.context import NAMES, TOXIPROXY_AT, Recipe, Variant

LABEL = "io.chaos-gate"
REPOSITORY = "chaos-gate"
TAG_LENGTH = 12  # of the digest of its content
BASE_VARIABLE = "CHAOS_BASE_IMAGE"
LLM_CUDA_BASE_VARIABLE = "CHAOS_LLM_CUDA_BASE_IMAGE"
_BASE_DEFAULT = "python:3.11-slim-bookworm"
_BASE_OF_OUR_OWN = "chaos-base:bookworm"  # what scripts/base-image makes
_LLM_CUDA_BASE_DEFAULT = "ghcr.io/ggml-org/llama.cpp:server-cuda"


@dataclass(frozen=True)
class Image:
    """One image in the engine. `built`: it was built now, in `seconds`."""

    name: str
    reference: str
    id: str
    built: bool
    seconds: float


def ensure(
    engine: docker.DockerClient,
    *,
    variant: Variant = "cpu",
    base_image: str | None = None,
    say: Callable[[str], None],
    root: Path = ROOT,
) -> dict[str, Image]:
    """Every image of the stack, by name (injector, llm, toxiproxy, watcher).

    `base_image`: default $CHAOS_BASE_IMAGE. `say` gets a line for each image that is built and for
    its long steps. Raises `EnvironmentProblem` if a base cannot be pulled, packages cannot be
    downloaded, or a build fails.
    """
    try:
        bases = {"": base(engine, base_image, say)}
        if variant == "cuda":
            llm_base = os.environ.get(LLM_CUDA_BASE_VARIABLE) or _LLM_CUDA_BASE_DEFAULT
            bases["llm"] = building.base_id(engine, llm_base, LLM_CUDA_BASE_VARIABLE, say)
        made: dict[str, Image] = {}
        for name in NAMES:
            extra = {TOXIPROXY_AT: _toxiproxy()} if name == "toxiproxy" else {}
            planned = context.recipe(root, name, variant, extra)
            made[name] = _ensure_one(engine, planned, bases.get(name, bases[""]), say)
        if any(image.built for image in made.values()):
            _report_older(engine, made, say)
        return made
    except (DockerException, RequestException) as error:
        raise building.problem_of("an image cannot be made", str(error)) from error


def _report_older(
    engine: docker.DockerClient, made: Mapping[str, Image], say: Callable[[str], None]
) -> None:
    """Report images of other versions. They stay, because another checkout may need them."""
    now = {image.id for image in made.values()}
    labelled = engine.images.list(filters={"label": f"{LABEL}.content"})
    older = {str(image.id) for image in labelled} - now
    if older:
        plural = "s" if len(older) > 1 else ""
        say(
            f"{len(older)} image{plural} of other versions or variants in the engine; "
            "`chaos clean --images` removes all that no container uses"
        )


def base(engine: docker.DockerClient, chosen: str | None, say: Callable[[str], None]) -> str:
    """The id of the base: `chosen`, else the default one, else that of scripts/base-image."""
    chosen = chosen or os.environ.get(BASE_VARIABLE)
    default = building.is_there(engine, _BASE_DEFAULT)
    if not chosen and not default and building.is_there(engine, _BASE_OF_OUR_OWN):
        chosen = _BASE_OF_OUR_OWN
    return building.base_id(engine, chosen or _BASE_DEFAULT, BASE_VARIABLE, say)


def _toxiproxy() -> Path:
    server = toxiproxy.find()
    if server is None or server.path is None:
        raise EnvironmentProblem(
            "there is no Toxiproxy server to make an image of",
            place=str(toxiproxy.cached_path()),
            next_step=f"run `chaos setup`; or {toxiproxy.alternatives()}",
        )
    return server.path


def _ensure_one(
    engine: docker.DockerClient, planned: Recipe, base_id: str, say: Callable[[str], None]
) -> Image:
    """Find or build the image `planned` on the base with the id `base_id`."""
    arguments = {"BASE_IMAGE": base_id, "VERSION": __version__}
    content = context.digest(planned, arguments, base_id)
    reference = f"{REPOSITORY}/{planned.name}:{content[:TAG_LENGTH]}"
    began_s = time.monotonic()
    try:
        known = engine.images.get(reference)
        return Image(planned.name, reference, str(known.id), False, 0.0)
    except ImageNotFound:
        pass
    collected: list[Path] = []
    if planned.lock is not None:
        architecture = str(engine.info().get("Architecture", "x86_64"))
        collected = wheels.collected(planned.name, planned.lock, architecture, say)
    files: Mapping[str, Path] = {
        **planned.files,
        **{f"{planned.wheels_at}/{wheel.name}": wheel for wheel in collected},
    }
    say(f"image {planned.name}: building {reference}")
    with tempfile.TemporaryFile() as stream:
        context.write_tar(stream, files)
        stream.seek(0)
        built = building.build(
            engine,
            stream,
            name=planned.name,
            reference=reference,
            dockerfile=planned.dockerfile,
            # The revision is recorded, but is not part of the digest.
            arguments={**arguments, "REVISION": revision(ROOT) or "unknown"},
            labels={LABEL: "image", f"{LABEL}.image": planned.name, f"{LABEL}.content": content},
            say=say,
        )
    return Image(planned.name, reference, built, True, time.monotonic() - began_s)
