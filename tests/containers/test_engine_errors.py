"""What is said where no engine can be used. The errors of the SDK are planted: a root user is
refused by no socket.
"""

from __future__ import annotations

from pathlib import Path

import docker.errors
import pytest

from chaos.containers import engine
from chaos.errors import EnvironmentProblem


@pytest.fixture
def facts() -> engine.EngineFacts:
    return engine.EngineFacts(
        "unix:///x", "28", "1.47", "Debian", "overlay2", "2", ("runc",), False
    )


def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no container engine answers") as raised:
        engine.connect(f"unix://{tmp_path}/docker.sock")
    assert "DOCKER_HOST" in raised.value.next_step
    assert not engine.answers(f"unix://{tmp_path}/docker.sock")


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise docker.errors.DockerException("PermissionError(13, 'Permission denied')")

    monkeypatch.setattr(engine, "DockerClient", refuse)
    with pytest.raises(EnvironmentProblem, match="may not be used by this user") as raised:
        engine.connect("unix:///var/run/docker.sock")
    assert "group" in raised.value.next_step


def test_no_nvidia_runtime(facts: engine.EngineFacts) -> None:
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
def test_the_next_step_fits_the_problem(said: str, next_step: str) -> None:
    problem = engine.problem_of(docker.errors.APIError(said, explanation=said), "starting it")
    assert problem.message == f"starting it: {said}"
    assert next_step in problem.next_step
