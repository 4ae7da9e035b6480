"""What a run has made in the engine, found by its label alone, and removed.

Label `io.chaos-gate.project` = the run's id, on every container, network and volume. Nothing is
ever found by its name: a foreign object may be called anything. Knows nothing of what the objects
are for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import docker.errors
import requests
from docker import APIClient, DockerClient

from chaos.containers.engine import problem_of

RUN_LABEL = "io.chaos-gate.project"  # which the compose files fill in from CHAOS_PROJECT

_ERRORS = (docker.errors.DockerException, requests.RequestException)


def labelled(run_id: str) -> dict[str, str]:
    """The filter of the engine's lists for objects of one run."""
    return {"label": f"{RUN_LABEL}={run_id}"}


def names(client: DockerClient, run_id: str) -> list[str]:
    """What there is of a run, as texts for people. Raises `EnvironmentProblem`."""
    only = labelled(run_id)
    try:
        found = [f"container {one['Names'][0].lstrip('/')}" for one in _containers(client, only)]
        found += [f"network {one['Name']}" for one in client.api.networks(filters=only)]
        found += [f"volume {one['Name']}" for one in client.api.volumes(only)["Volumes"] or ()]
    except _ERRORS as error:
        raise problem_of(error, "looking for what the run has made") from error
    return found


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
        except _ERRORS as error:
            left.append(f"{what}: {error}")
        else:
            say(f"{what} removed")

    try:
        _remove_each(client.api, labelled(run_id), attempt, spare)
    except _ERRORS as error:
        left.append(problem_of(error, "what the run has made in the engine").message)
    return left


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
