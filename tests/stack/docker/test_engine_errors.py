"""Errors without a usable engine. The SDK's errors are simulated: root may use any socket."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import docker.errors
import pytest

from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker import engine


@pytest.fixture
def facts() -> engine.EngineFacts:
    return engine.EngineFacts(
        "unix:///x", "28", "1.47", "Debian", "overlay2", "2", ("runc",), False
    )


def test_missing_engine_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no container engine answers") as raised:
        engine.connect(f"unix://{tmp_path}/docker.sock")
    assert "DOCKER_HOST" in raised.value.next_step
    assert not engine.answers(f"unix://{tmp_path}/docker.sock")


def test_missing_permission_for_the_engine_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise docker.errors.DockerException("PermissionError(13, 'Permission denied')")

    monkeypatch.setattr(engine, "DockerClient", refuse)
    with pytest.raises(EnvironmentProblem, match="may not be used by this user") as raised:
        engine.connect("unix:///var/run/docker.sock")
    assert "group" in raised.value.next_step


def test_missing_nvidia_runtime_is_an_error(facts: engine.EngineFacts) -> None:
    with pytest.raises(EnvironmentProblem, match=r"no NVIDIA runtime.*runtimes: runc"):
        engine.require_gpu(facts)
    with_gpu = engine.EngineFacts(**{**facts.to_json(), "runtimes": ("nvidia", "runc")})
    engine.require_gpu(with_gpu)


@pytest.mark.parametrize(
    ("said", "next_step"),
    [
        ("Bind for 127.0.0.1:8080 failed: port is already allocated", "CHAOS_LLM_PORT"),
        ("write /x: no space left on device", "docker system df"),
        ('could not select device driver "nvidia"', "NVIDIA Container Toolkit"),
        ("No such image: chaos-gate/llm:1", "build the images again"),
        ("something else", "docker info"),
    ],
)
def test_engine_error_has_the_next_step_for_its_cause(said: str, next_step: str) -> None:
    problem = engine.problem_of(docker.errors.APIError(said, explanation=said), "starting it")
    assert problem.message == f"starting it: {said}"
    assert next_step in problem.next_step


def test_docker_context_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the user's own `docker` does; the SDK looks at the configuration file alone."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")  # contexts are looked for beside it
    name = "elsewhere"
    folder = tmp_path / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    host = "unix:///elsewhere.sock"
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}
    (folder / "meta.json").write_text(json.dumps(meta))
    assert engine.address() != host
    monkeypatch.setenv("DOCKER_CONTEXT", name)
    assert engine.address() == host
    monkeypatch.setenv("DOCKER_CONTEXT", "nobody")
    with pytest.raises(EnvironmentProblem, match="'nobody' cannot be found"):
        engine.address()
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")  # comes first, as for `docker`
    assert engine.address() == "unix:///x"
