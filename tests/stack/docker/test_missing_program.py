"""A daemon whose program is not in its image: an error of the target, as without containers."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import docker.errors
import pytest
from docker import DockerClient

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.shipped import IMAGES
from chaos.record.rundir import RunDir
from chaos.stack.docker.channel import Outside
from chaos.stack.docker.pod import Pod
from chaos.stack.docker.service import ContainerService
from chaos.stack.local.backend import LocalBackend
from chaos.stack.process import NoProgram
from tests.targets.habits.llm_stacks import NoAssets, read

# As Docker Engine 20.10 with runc 1.1 says it.
SAID = (
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
    "container process: exec: {}: unknown"
)
NOT_FOUND = '"no-such": executable file not found in $PATH'
NOT_EXECUTABLE = '"/etc": permission denied'
TARGET = """
target: no_program
watcher: {start: [no-such, x.py]}
work: {submit: {folder: inbox}, done: outbox/*, body: {id: "{id}"}}
"""


class Inside:
    """Stands for the channel: the conductor's pod is asked directly, and its problem raised."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def call(self, op: str, _limit_s: float, **args: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self._pod, op)(**args)
        return answer


class Engine:
    """Stands for an engine that starts no container: it says why, and keeps the exit code."""

    def __init__(self, said: str, exit_code: int) -> None:
        self.api = self
        self._said = said
        self._state = {"Status": "created", "ExitCode": 0}
        self._code = exit_code

    def inspect_container(self, _container: str) -> dict[str, Any]:
        return {"State": self._state}

    def start(self, _container: str) -> None:
        self._state["ExitCode"] = self._code
        raise docker.errors.APIError(self._said, explanation=self._said)


def service(client: object, container: str, folder: Path) -> ContainerService:
    pod = Pod(cast(DockerClient, client), "run", folder)
    pod._ids = {"watcher": container}
    outside = cast(Outside, Inside(pod))
    return ContainerService("watcher", "watcher", outside, folder / "watcher.log")


@pytest.mark.parametrize(
    ("said", "code"), [(NOT_FOUND, 127), (NOT_EXECUTABLE, 126)], ids=["missing", "no program"]
)
def test_program_that_is_not_in_the_image_is_an_error_of_the_target(
    said: str, code: int, tmp_path: Path
) -> None:
    run = RunDir(tmp_path / "run")
    run.logs.mkdir(parents=True)
    made = LocalBackend(
        read(tmp_path, TARGET),
        {},
        run,
        NoAssets(),  # type: ignore[arg-type]
        IMAGES,
        sandboxed=False,
    )
    with pytest.raises(UsageError) as refused:
        made._start_program(service(Engine(SAID.format(said), code), "one", tmp_path))
    assert refused.value.place == "target no_program, watcher.start"
    assert refused.value.message == f"its program cannot be started: exec: {said}: unknown"
    assert "correct the target profile" in refused.value.next_step


def test_container_that_cannot_be_started_for_another_reason_is_a_problem_of_the_machine(
    tmp_path: Path,
) -> None:
    said = "failed to create shim task: OCI runtime create failed: no space left on device"
    with pytest.raises(EnvironmentProblem, match="no space left") as problem:
        service(Engine(said, 128), "one", tmp_path).start()
    assert not isinstance(problem.value, NoProgram)


@pytest.fixture
def empty(client: DockerClient) -> Iterator[str]:
    """A container of an image without a file; its command is not in it."""
    stream = io.BytesIO()
    tarfile.open(fileobj=stream, mode="w").close()
    tag = f"chaos-test-empty-{uuid.uuid4().hex}"
    client.api.import_image_from_data(stream.getvalue(), repository=tag)
    made = client.containers.create(tag, ["no-such", "x.py"], network_mode="none")
    yield str(made.id)
    with suppress(docker.errors.NotFound):
        made.remove(force=True)
    client.images.remove(tag)


@pytest.mark.docker
def test_real_engine_says_that_a_program_is_not_in_the_image(
    client: DockerClient, empty: str, tmp_path: Path
) -> None:
    with pytest.raises(NoProgram, match=r'its program cannot be started: .*"no-such"'):
        service(client, empty, tmp_path).start()
