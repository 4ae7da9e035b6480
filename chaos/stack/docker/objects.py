"""What a run has made in the engine, found by its label alone, and removed.

Label `io.chaos-gate.project` = the run's id, on every container, network and volume. Nothing is
ever found by its name: a foreign object may be called anything. Knows nothing of what the objects
are for.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import docker.errors
from docker import APIClient, DockerClient

from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker.engine import ERRORS, problem_of, problems_of

RUN_LABEL = "io.chaos-gate.project"  # which the compose files fill in from CHAOS_PROJECT

_ROUNDS_MAX = 5
_SETTLE_S = 5.0  # the engine answers what it was asked in about one
_LOOK_S = 0.25


class Unanswered(EnvironmentProblem):
    """Who made the objects was cut off: the engine may still be making what it was asked for."""


def labelled(run_id: str) -> dict[str, str]:
    """The filter of the engine's lists for objects of one run."""
    return {"label": f"{RUN_LABEL}={run_id}"}


def names(client: DockerClient, run_id: str) -> list[str]:
    """What there is of a run, as texts for people. Raises `EnvironmentProblem`."""
    only = labelled(run_id)
    with problems_of("looking for what the run has made"):
        found = [f"container {one['Names'][0].lstrip('/')}" for one in _containers(client, only)]
        found += [f"network {one['Name']}" for one in client.api.networks(filters=only)]
        found += [f"volume {one['Name']}" for one in client.api.volumes(only)["Volumes"] or ()]
    return found


def services(client: DockerClient, run_id: str) -> set[str]:
    """The services that have a container of a run. Raises `EnvironmentProblem`."""
    with problems_of("looking for what the run has made"):
        found = _containers(client, labelled(run_id))
    return {one["Labels"].get("com.docker.compose.service", "") for one in found}


def remove(
    client: DockerClient,
    run_id: str,
    say: Callable[[str], None] = lambda text: None,
    *,
    spare: str = "",
) -> list[str]:
    """Remove all objects of a run; what could not be removed. Idempotent.

    Containers first: networks and volumes are held by them. One failure does not stop the rest;
    an engine that is gone is one, too. `spare`: the id of a container that stays, with what it
    holds.
    """
    left: list[str] = []

    def attempt(what: str, act: Callable[[], Any]) -> None:
        try:
            act()
        except docker.errors.NotFound:
            return
        except ERRORS as error:
            left.append(f"{what}: {error}")
        else:
            say(f"{what} removed")

    try:
        _remove_each(client.api, labelled(run_id), attempt, spare)
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
    """Remove all objects of a run until a look finds none; what could not be removed.

    `unanswered`: the engine may still be making some. It goes on with a request whose sender is
    dead, shows nothing of it before it is done, and has no way to ask: so the looks go on for
    some seconds.
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
            found = names(client, run_id)
        except EnvironmentProblem as gone:
            return [gone.message]
        if not found and time.monotonic() >= deadline_s:
            return []
        if found and rounds >= _ROUNDS_MAX and time.monotonic() >= deadline_s:
            return found
        time.sleep(_LOOK_S)


def _remove_each(
    api: APIClient,
    only: dict[str, str],
    attempt: Callable[[str, Callable[[], Any]], None],
    spare: str,
) -> None:
    # The pod's holder last: ending it ends the others, and they would race with their removal.
    for one in sorted(api.containers(all=True, filters=only), key=_holds_the_pod):
        if one["Id"] != spare:
            what = f"container {one['Names'][0].lstrip('/')}"
            attempt(what, partial(api.remove_container, one["Id"], force=True, v=True))
    if spare:
        return
    for one in api.networks(filters=only):
        attempt(f"network {one['Name']}", partial(api.remove_network, one["Id"]))
    for one in api.volumes(only)["Volumes"] or ():
        attempt(f"volume {one['Name']}", partial(api.remove_volume, one["Name"], force=True))


def _containers(client: DockerClient, only: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.api.containers(all=True, filters=only)
    return found


def _holds_the_pod(container: dict[str, Any]) -> bool:
    return bool(container["Labels"].get("com.docker.compose.service") == "injector")
