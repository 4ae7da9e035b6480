"""Build one image with the engine: find or pull its base, show progress, explain failures.

Knows no particular image.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

import docker
from docker.errors import APIError, ImageNotFound

from chaos.base.errors import EnvironmentProblem
from chaos.base.shipped import BASE_IMAGE_SCRIPT

NETWORK_VARIABLE = "CHAOS_BUILD_NETWORK"  # `host` where only the host reaches the network
_SILENCE_LIMIT_S = 900.0  # a step without output for so long has failed
_SAY_EVERY_S = 5.0
_LAST_LINES = 12
_NO_SPACE = "no space left on device"


def is_there(engine: docker.DockerClient, reference: str) -> bool:
    """True if the engine has the image; asks no registry."""
    try:
        engine.images.get(reference)
    except ImageNotFound:
        return False
    return True


def base_id(
    engine: docker.DockerClient, reference: str, variable: str, say: Callable[[str], None]
) -> str:
    """The id of a base image; pulls it if needed. `variable` can name another base."""
    if not is_there(engine, reference):
        say(f"base image {reference}: pulling")
        try:
            engine.images.pull(*_split(reference))
        except APIError as error:
            raise EnvironmentProblem(
                f"the base image is not there and cannot be pulled: {error.explanation or error}",
                place=reference,
                next_step=f"set {variable}=NAME to an image that the engine has or can pull; or, "
                f"where no registry can be reached, run {BASE_IMAGE_SCRIPT} as root",
            ) from error
    return str(engine.images.get(reference).id)


def _split(reference: str) -> tuple[str, str | None]:
    """(name, tag): without a tag the engine would pull all tags."""
    if "@" in reference:
        return reference, None
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def build(
    engine: docker.DockerClient,
    stream: IO[bytes],
    *,
    name: str,
    reference: str,
    dockerfile: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    say: Callable[[str], None],
    no_cache: bool = False,
) -> str:
    """Build the context `stream` (a tar) and tag it; returns the id of the image."""
    steps = engine.api.build(
        fileobj=stream,
        custom_context=True,
        dockerfile=dockerfile,
        tag=reference,
        buildargs=dict(arguments),
        labels=dict(labels),
        network_mode=os.environ.get(NETWORK_VARIABLE) or None,
        decode=True,
        rm=True,
        forcerm=True,
        nocache=no_cache,
        timeout=int(_SILENCE_LIMIT_S),
    )
    progress = BuildProgress(name, say)
    for message in steps:
        progress.take(message)
    return str(engine.images.get(reference).id)


class BuildProgress:
    """Shows some of the engine's messages during a build, and keeps the last ones."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._said_s = time.monotonic()
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)

    def take(self, message: dict[str, Any]) -> None:
        """Handle one message. Raises `EnvironmentProblem` if it reports a failed build."""
        if "error" in message:
            said = "\n".join([*self._lines, str(message["error"]).strip()])
            raise problem_of(f"image {self._name} cannot be built", said)
        text = str(message.get("stream", "")).strip()
        if not text or text.startswith(("--->", "Removing intermediate")):
            return
        self._lines.extend(text.splitlines())
        now_s = time.monotonic()
        if text.startswith("Step ") and now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            self._say(f"image {self._name}: {' '.join(text.split())[:100]}")


def problem_of(what: str, said: str) -> EnvironmentProblem:
    """The error for a failed `what`, with the engine's output `said`."""
    if _NO_SPACE in said.lower():
        return EnvironmentProblem(
            f"{what}: the engine has no disk space left",
            next_step="free some: `docker system df` says what uses it; images of this project "
            "carry the label io.chaos-gate=image",
        )
    return EnvironmentProblem(
        f"{what}:\n{said}",
        next_step="read the lines above; a build that reaches the network only through the host "
        f"needs {NETWORK_VARIABLE}=host",
    )
