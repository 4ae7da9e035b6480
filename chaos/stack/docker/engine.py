"""The container engine: its address, a connection, and its properties. Errors have a next step.

Knows nothing of stacks or runs.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import docker
import docker.errors
import requests
from docker import DockerClient
from docker.context import ContextAPI

from chaos.base.errors import EnvironmentProblem

CALL_LIMIT_S = 60.0
ERRORS = (docker.errors.DockerException, requests.RequestException)
API_OLDEST = (1, 41)  # Engine 20.10
_DEFAULT_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True)
class EngineFacts:
    """The properties of the engine for provenance, and for the check for a GPU."""

    address: str
    version: str
    api_version: str
    system: str
    storage: str
    cgroup_version: str
    runtimes: tuple[str, ...]
    rootless: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def address() -> str:
    """The address that the user's `docker` command uses.

    The first of DOCKER_HOST, DOCKER_CONTEXT, the current context, the default. Raises
    `EnvironmentProblem` for a context that does not exist.
    """
    host = os.environ.get("DOCKER_HOST")
    if host:
        return host
    name = os.environ.get("DOCKER_CONTEXT")  # the SDK ignores it
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
        host = context.Host if context is not None else None
    except Exception:  # the SDK raises a plain `Exception` for an unreadable file
        host = None
    if name and not host:
        raise EnvironmentProblem(
            f"the docker context {name!r} cannot be found",
            place="DOCKER_CONTEXT",
            next_step="`docker context ls` lists them; or set DOCKER_HOST to where it leads",
        )
    return host or _DEFAULT_SOCKET


def connect(at: str | None = None) -> DockerClient:
    """A client of the engine at `at` (default: `address`), after a first answer.

    Each call is limited to `CALL_LIMIT_S`. Raises `EnvironmentProblem` if the engine does not
    answer, if the user has no permission, and if the engine is too old.
    """
    where = at or address()
    try:
        client = DockerClient(base_url=where, version="auto", timeout=int(CALL_LIMIT_S))
    except ERRORS as error:
        raise _unreachable(where, error) from error
    api_version = tuple(int(part) for part in client.api.api_version.split("."))
    if api_version < API_OLDEST:
        client.close()
        raise EnvironmentProblem(
            f"the container engine speaks API {client.api.api_version}, 1.41 is needed",
            place=where,
            next_step="install Docker Engine 20.10 or newer",
        )
    return client


def _unreachable(where: str, error: Exception) -> EnvironmentProblem:
    text = str(error)
    if "Permission denied" in text:
        return EnvironmentProblem(
            "the container engine may not be used by this user",
            place=where,
            next_step="add the user to the group that owns the socket (usually docker) and log in "
            "again, use rootless Docker, or run as root",
        )
    return EnvironmentProblem(
        f"no container engine answers: {_short(text)}",
        place=where,
        next_step="start Docker (systemctl start docker), or set DOCKER_HOST to where it listens; "
        "`--backend local` needs none",
    )


def _short(text: str, length_max: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length_max else line[: length_max - 3] + "..."


def facts(client: DockerClient) -> EngineFacts:
    """The engine's properties. Raises `EnvironmentProblem` if it does not answer."""
    try:
        version, info = client.version(), client.info()
    except ERRORS as error:
        raise _unreachable(client.api.base_url, error) from error
    return EngineFacts(
        address=address(),
        version=str(version.get("Version", "")),
        api_version=str(version.get("ApiVersion", "")),
        system=str(info.get("OperatingSystem", "")),
        storage=str(info.get("Driver", "")),
        cgroup_version=str(info.get("CgroupVersion", "")),
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        rootless=any("rootless" in str(option) for option in info.get("SecurityOptions") or ()),
    )


def require_gpu(engine: EngineFacts) -> None:
    """Raises `EnvironmentProblem` unless containers can be given an NVIDIA GPU."""
    if "nvidia" not in engine.runtimes:
        raise EnvironmentProblem(
            "the container engine has no NVIDIA runtime, so no container can have a GPU "
            f"(runtimes: {', '.join(engine.runtimes) or 'none'})",
            place=engine.address,
            next_step="install the NVIDIA Container Toolkit and restart Docker, or leave out --gpu",
        )


def problem_of(error: Exception, what: str, *, place: str = "") -> EnvironmentProblem:
    """Turn an error of the SDK into an `EnvironmentProblem`; `what` was attempted."""
    text = getattr(error, "explanation", None) or str(error)
    next_step = "see what the engine says (docker info, docker events)"
    lowered = str(text).lower()
    if "port is already allocated" in lowered or "address already in use" in lowered:
        next_step = "end what uses the port, or set CHAOS_LLM_PORT and CHAOS_PROXY_API_PORT"
    elif "no space left" in lowered:
        next_step = "free some space where the engine keeps its data (docker system df)"
    elif "could not select device driver" in lowered or "nvidia" in lowered:
        next_step = "install the NVIDIA Container Toolkit, or leave out --gpu"
    elif "no such image" in lowered:
        next_step = "build the images again: chaos run --backend docker does, scripts/images too"
    return EnvironmentProblem(f"{what}: {_short(str(text), 400)}", place=place, next_step=next_step)


@contextmanager
def problems_of(what: str) -> Iterator[None]:
    """Raise an error of the SDK in the block as an `EnvironmentProblem`; see `problem_of`."""
    try:
        yield
    except ERRORS as error:
        raise problem_of(error, what) from error


def answers(at: str | None = None) -> bool:
    """True if an engine can be used now; for tests and for the doctor."""
    try:
        with closing(connect(at)):
            return True
    except EnvironmentProblem:
        return False
