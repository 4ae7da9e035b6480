"""Objects that the engine makes after compose was killed are removed, too.

The engine is a stand-in that lists a network only after some requests. A real engine does so when
compose was killed after its request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from docker import DockerClient
from msgspec.structs import replace

from chaos.base.exitcode import ExitCode
from chaos.record.rundir import RunDir
from chaos.runner.clean import clean
from chaos.runner.containers import leftovers
from chaos.runner.containers.settings import Settings
from chaos.stack.docker import engine, objects
from chaos.stack.docker.pod import SERVICES, Pod
from tests.stack.docker.running import some_settings


class Engine:
    """An engine with `services`, and with a network from the listing numbered `late` on."""

    def __init__(self, late: int | None = None, services: tuple[str, ...] = ()) -> None:
        self.api = self
        self._late = late
        self._services = list(services)
        self.looks = 0

    def containers(self, **_: object) -> list[dict[str, Any]]:
        label = "com.docker.compose.service"
        return [{"Id": s, "Names": [s], "Labels": {label: s}} for s in self._services]

    def networks(self, **_: object) -> list[dict[str, Any]]:
        self.looks += 1
        there = self._late is not None and self.looks >= self._late
        return [{"Id": "n", "Name": "the_pod"}] if there else []

    def volumes(self, _only: object) -> dict[str, None]:
        return {"Volumes": None}

    def remove_container(self, name: str, **_: object) -> None:
        self._services.remove(name)

    def remove_network(self, _name: str) -> None:
        self._late = None

    def close(self) -> None:
        pass


def client(made: Engine) -> DockerClient:
    return cast(DockerClient, made)


def cut_off(_only: object) -> None:
    raise objects.Unanswered("cut off")


def test_network_that_appears_late_is_removed(tmp_path: Path) -> None:
    late = Engine(late=8)
    pod = Pod(client(late), "run", tmp_path)
    with pytest.raises(objects.Unanswered):
        pod.make(cut_off)
    said: list[str] = []
    assert objects.remove_all(client(Engine(late=8)), "run", said.append, unanswered=True) == []
    assert said[1:] == ["network the_pod removed"]
    assert pod.remove() == []
    assert late.networks() == [] and late.looks > 8


def test_removal_does_not_wait_if_compose_finished(tmp_path: Path) -> None:
    whole = Engine(services=SERVICES)
    pod = Pod(client(whole), "run", tmp_path)
    assert pod.remove() == []
    assert whole.looks == 2  # one to remove, one to see that nothing is left


def test_clean_waits_for_an_incomplete_pod(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """It also records that nothing is left, so the next `clean` uses no engine."""
    late = Engine(late=8, services=SERVICES[:1])
    monkeypatch.setattr(engine, "connect", lambda *_: client(late))
    some_settings().write(run)
    assert clean(str(run.path), run.path.parent) == ExitCode.PASS
    assert late.networks() == [] and late.looks > 8
    assert Settings.read(run).removed
    looks = late.looks
    assert leftovers.remove(run, print) == [] and late.looks == looks


def test_clean_does_not_wait_for_a_complete_pod(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Engine(services=(*SERVICES, "a_clone"))
    monkeypatch.setattr(engine, "connect", lambda *_: client(whole))
    some_settings().write(run)
    assert leftovers.remove(run, print) == []
    assert whole.looks == 2


def test_clean_of_a_removed_run_uses_no_engine(run: RunDir) -> None:
    replace(some_settings(), engine="unix:///nowhere/docker.sock", removed=True).write(run)
    assert leftovers.remove(run, print) == []
