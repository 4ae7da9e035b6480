"""Find and remove the objects of a run in the engine, by their label alone.

Each container, network and volume of a run has the label `io.chaos-gate.project` with the run's id.
Objects are never looked up by name, because a foreign object may have any name. Knows nothing of
what the objects are for.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import docker.errors
from docker import APIClient, DockerClient

from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker.engine import ERRORS, problem_of, problems_of

RUN_LABEL = "io.chaos-gate.project"  # the compose files set it from CHAOS_PROJECT

_ROUNDS_MAX = 5
_SETTLE_S = 5.0  # the engine answers a request within about a second
_LOOK_S = 0.25


class Unanswered(EnvironmentProblem):
    """Compose was cut off: the engine may still be making the objects that were requested."""


def labelled(run_id: str) -> dict[str, str]:
    """The filter of the engine's lists for objects of one run."""
    return {"label": f"{RUN_LABEL}={run_id}"}


def names(client: DockerClient, run_id: str) -> list[str]:
    """The objects of a run, as texts for people. Raises `EnvironmentProblem`."""
    with problems_of("looking for what the run has made"):
        return [what for what, _ in _objects(client.api, labelled(run_id))]


def services(client: DockerClient, run_id: str) -> set[str]:
    """The services that have a container of a run. Raises `EnvironmentProblem`."""
    with problems_of("looking for what the run has made"):
        containers = client.api.containers(all=True, filters=labelled(run_id))
    return {_service_of(container) for container in containers}


def remove(
    client: DockerClient,
    run_id: str,
    say: Callable[[str], None] = lambda text: None,
    *,
    spare: str = "",
) -> list[str]:
    """Remove all objects of a run, and return what could not be removed. Idempotent.

    A failed removal does not stop the others. `spare`: the id of a container that stays, together
    with the networks and volumes.
    """
    left: list[str] = []
    try:
        for what, act in _objects(client.api, labelled(run_id), spare):
            try:
                act()
            except docker.errors.NotFound:
                continue
            except ERRORS as error:
                left.append(f"{what}: {error}")
            else:
                say(f"{what} removed")
    except ERRORS as error:
        left.append(problem_of(error, "what the run has made in the engine").message)
    return left


def remove_all(
    client: DockerClient,
    run_id: str,
    say: Callable[[str], None] = lambda text: None,
    *,
    unanswered: bool = False,
) -> list[str]:
    """Remove the objects of a run until none is listed; return what could not be removed.

    `unanswered`: the engine may still be making some. It finishes a request whose sender is dead,
    and lists the object only when it is made. So the search then goes on for some seconds.
    """
    if unanswered:
        say(f"looking for {_SETTLE_S:g} s at what the engine may still be making")
    deadline_s = time.monotonic() + (_SETTLE_S if unanswered else 0.0)
    rounds = 0
    while True:
        left = remove(client, run_id, say)
        if left:
            return left
        rounds += 1
        try:
            existing = names(client, run_id)
        except EnvironmentProblem as gone:
            return [gone.message]
        if not existing and time.monotonic() >= deadline_s:
            return []
        if existing and rounds >= _ROUNDS_MAX and time.monotonic() >= deadline_s:
            return existing
        time.sleep(_LOOK_S)


def _objects(
    api: APIClient, filters: dict[str, str], spare: str = ""
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """(text for people, removal) of each object, in the order in which they can be removed.

    Containers come first, because they hold networks and volumes. The pod's holder is the last of
    them: its end also ends the others, which would race with their removal.
    """
    containers = api.containers(all=True, filters=filters)
    for container in sorted(containers, key=lambda each: _service_of(each) == "injector"):
        if container["Id"] != spare:
            what = f"container {container['Names'][0].lstrip('/')}"
            yield what, partial(api.remove_container, container["Id"], force=True, v=True)
    if spare:
        return
    for network in api.networks(filters=filters):
        yield f"network {network['Name']}", partial(api.remove_network, network["Id"])
    for volume in api.volumes(filters)["Volumes"] or ():
        yield f"volume {volume['Name']}", partial(api.remove_volume, volume["Name"], force=True)


def _service_of(container: dict[str, Any]) -> str:
    return str(container["Labels"].get("com.docker.compose.service", ""))
