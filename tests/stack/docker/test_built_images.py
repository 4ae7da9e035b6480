"""The images as the engine has them: what they hold, that it is the same each time, and reused."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import docker.errors
import pytest
from docker import DockerClient

from chaos.assets import Assets
from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker import building, context, images, wheels
from chaos.stack.docker.images import Image
from tests.stack.docker.running import PYTHON, Running
from tests.waiting import wait_for

# What the engine itself puts into every container.
_ENGINES = re.compile(r"(\.dockerenv|dev/|etc/(hosts|hostname|resolv\.conf|mtab)$|proc/|sys/)")


@pytest.mark.docker
@pytest.mark.slow
def test_existing_image_is_not_built_again(client: DockerClient, built: dict[str, Image]) -> None:
    said: list[str] = []
    again = images.ensure(client, say=said.append)
    assert said == []
    assert [image.built for image in again.values()] == [False] * 4
    assert {n: i.id for n, i in again.items()} == {n: i.id for n, i in built.items()}


@pytest.mark.docker
@pytest.mark.slow
def test_build_reports_images_of_other_versions(
    client: DockerClient, built: dict[str, Image], repo: Path, tmp_path: Path
) -> None:
    """Each change of the programs makes new images: they must not pile up unseen."""
    for tree in ("chaos", "experiments", "images"):
        shutil.copytree(repo / tree, tmp_path / tree, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "images" / "toxiproxy" / "Dockerfile").open("a") as stream:
        stream.write("# another version\n")
    said: list[str] = []
    made = images.ensure(client, say=said.append, root=tmp_path)
    try:
        assert made["toxiproxy"].built and not made["llm"].built
        [told] = [line for line in said if "other versions" in line]
        assert int(told.split()[0]) >= 2  # at least those of this version
        assert "chaos clean --images" in told
        for name in built:
            client.images.get(built[name].reference)  # told, not removed
    finally:
        for name, image in made.items():
            if image.id != built[name].id:
                client.images.remove(image.reference)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("name", context.NAMES)
def test_image_has_labels_and_runs_as_no_user_of_the_host(
    name: str, client: DockerClient, built: dict[str, Image]
) -> None:
    image = client.images.get(built[name].reference)
    config = image.attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["WorkingDir"] == "/workspace"
    assert config["Labels"]["io.chaos-gate"] == "image"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Labels"]["org.opencontainers.image.title"] == f"chaos-gate {name}"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    for entry in config["Env"]:
        assert not re.search(r"(?i)token|secret|password|index_url|proxy=", entry)


@pytest.mark.docker
@pytest.mark.slow
def test_injectors_image_has_every_import_of_the_agent(
    start: Callable[..., Running], built: dict[str, Image]
) -> None:
    """Every module that lives a run, in a container as closed as those of a run."""
    program = (
        "import importlib, pkgutil, chaos.runner.run, chaos.runner.inner\n"
        "import chaos.runner.containers.inside\n"
        "from chaos.faults.registry import fault_kinds\n"
        "import chaos.faults, chaos.soaks, chaos.witness, chaos.stack.http_proxy\n"
        "import chaos.stack, chaos.sandbox\n"
        "for top in (chaos.faults, chaos.soaks, chaos.witness, chaos.stack.http_proxy, chaos.stack,"
        " chaos.sandbox):\n"
        "    for found in pkgutil.walk_packages(top.__path__, top.__name__ + '.'):\n"
        # What talks to the engine stays outside; the rest of it came with `inside`.
        "        outside = found.name.startswith('chaos.stack.docker.')\n"
        "        if outside or found.name.endswith('__main__'):\n"
        "            continue\n"
        "        importlib.import_module(found.name)\n"
        "import pynvml, yaml\n"
        "print(chaos.__file__, len(fault_kinds()))\n"
    )
    agent = start(
        built["injector"].reference,
        *(PYTHON, "-c", "import time; time.sleep(120)"),
        read_only=True,
        tmpfs={"/tmp": "size=64m"},
        security_opt=["no-new-privileges:true"],
    )
    code, output = agent.ask(PYTHON, "-c", program)
    assert code == 0, output
    place, kinds = output.split()
    assert place == "/opt/chaos/chaos/__init__.py" and int(kinds) > 40


@pytest.mark.docker
@pytest.mark.slow(seconds=50)
@pytest.mark.parametrize(  # the others are made in the same ways
    "name", ["injector", pytest.param("llm", marks=pytest.mark.long)]
)
def test_two_builds_give_the_same_files(
    name: str, client: DockerClient, built: dict[str, Image], assets: Assets, repo: Path
) -> None:
    """Nothing is cached the second time; compared is every file's content, mode and owner."""
    first = tree_of(client, built[name].reference)
    with built_anew(client, name, assets, repo) as reference:
        second = tree_of(client, reference)
    assert len(first) > 1000
    assert {path: entry for path, entry in first.items() if second.get(path) != entry} == {}
    assert set(second) == set(first)
    ours = [path for path in first if path.startswith("opt/")]
    assert [path for path in ours if path.endswith(".pyc") or "/site-packages/pip" in path] == []


def tree_of(client: DockerClient, reference: str) -> dict[str, tuple[object, ...]]:
    """Path -> (type, mode, owner, link or digest) of everything in an image."""
    container = client.containers.create(reference)
    found: dict[str, tuple[object, ...]] = {}
    try:
        stream = cast(IO[bytes], _Chunks(container.export()))
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for entry in archive:
                if _ENGINES.match(entry.name):
                    continue
                content = archive.extractfile(entry) if entry.isfile() else None
                digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
                found[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, digest)
    finally:
        container.remove(force=True)
    return found


class _Chunks(io.RawIOBase):
    """A stream of pieces, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


@contextlib.contextmanager
def built_anew(client: DockerClient, name: str, assets: Assets, repo: Path) -> Iterator[str]:
    """The image built once more without any cache; what that made is removed afterwards."""
    assert assets.toxiproxy is not None
    extra = {context.TOXIPROXY_AT: assets.toxiproxy} if name == "toxiproxy" else {}
    planned = context.recipe(repo, name, "cpu", extra)
    architecture = str(client.info()["Architecture"])
    found = wheels.collected(name, planned.lock, architecture, print) if planned.lock else []
    files = {**planned.files, **{f"{planned.wheels_at}/{w.name}": w for w in found}}
    base = images.base(client, None, print)
    with build(client, files, planned.dockerfile, {"BASE_IMAGE": base}, no_cache=True) as made:
        yield made


@contextlib.contextmanager
def build(
    client: DockerClient,
    files: dict[str, Path],
    dockerfile: str,
    arguments: dict[str, str],
    *,
    no_cache: bool = False,
) -> Iterator[str]:
    """An image without a name, removed afterwards with every layer that this build made."""
    made: list[str] = []
    try:
        with tempfile.TemporaryFile() as stream:
            context.write_tar(stream, files)
            stream.seek(0)
            said: list[str] = []
            for message in client.api.build(
                fileobj=stream,
                custom_context=True,
                dockerfile=dockerfile,
                buildargs=arguments,
                nocache=no_cache,
                decode=True,
                rm=True,
                forcerm=True,
                timeout=600,
            ):
                text = str(message.get("stream", message.get("error", "")))
                said.append(text)
                # A step that came from the cache is not ours to remove.
                cached = len(said) > 1 and "Using cache" in said[-2]
                if (match := re.match(r" ---> ([0-9a-f]{12})\s", text)) and not cached:
                    made.append(match[1])
                assert "error" not in message, "".join(said[-12:])
        yield made[-1]
    finally:
        for layer in reversed(made):
            # The base, and what somebody else's image stands on, stay.
            with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
                if not client.images.get(layer).tags:
                    client.images.remove(layer, noprune=True)


@pytest.mark.docker
@pytest.mark.slow
def test_cuda_image_of_the_llm_runs_the_binary_of_its_base(
    client: DockerClient,
    built: dict[str, Image],
    start: Callable[..., Running],
    repo: Path,
    tmp_path: Path,
) -> None:
    """A stand-in takes the place of the publisher's image: same path, same options, no GPU."""
    standin = repo / "tests" / "llm" / "standin_server.py"
    script = tmp_path / "Dockerfile"
    script.write_text(
        f"FROM {built['toxiproxy'].id}\nCOPY llama-server /app/llama-server\n"
        'ENTRYPOINT ["/app/llama-server"]\n'
    )
    files = {"Dockerfile": script, "llama-server": standin}
    planned = context.recipe(repo, "llm", "cuda", {})
    with contextlib.ExitStack() as layers:
        base = layers.enter_context(build(client, files, "Dockerfile", {}))
        cuda = layers.enter_context(
            build(client, dict(planned.files), planned.dockerfile, {"BASE_IMAGE": base})
        )
        llm = start(
            cuda,
            *(PYTHON, "/opt/llm/supervisor.py", "--autostart", "--model=/etc/os-release"),
            *("--events=/tmp/events", "--log=/tmp/log", "--"),
            *("--gpu-layers=999", "--batch=1024", "--binary-arguments=--split-mode row"),
        )
        control = "http://127.0.0.1:8079/status"
        wait_for("the supervisor answers", lambda: llm.answers(control))
        assert llm.ask(PYTHON, "/opt/llm/container/health.py") == (0, "healthy")
        pid = llm.http("GET", control)["pid"]
        _, command = llm.ask(PYTHON, "-c", f"print(open('/proc/{pid}/cmdline').read())")
        words = command.split("\0")
        assert "/app/llama-server" in words
        assert words[words.index("--n-gpu-layers") + 1] == "999"
        assert words[words.index("--split-mode") + 1] == "row"
        llm.container.remove(force=True)


@pytest.mark.docker
def test_missing_base_image_has_a_next_step(client: DockerClient) -> None:
    """Nothing listens at the address, so no real registry is used."""
    with pytest.raises(EnvironmentProblem) as caught:
        images.ensure(client, base_image="127.0.0.1:9/none:1", say=lambda _: None)
    assert caught.value.place == "127.0.0.1:9/none:1"
    assert "CHAOS_BASE_IMAGE" in caught.value.next_step
    assert "scripts/base-image" in caught.value.next_step


@pytest.mark.docker
def test_failed_build_is_reported_with_its_last_lines(
    client: DockerClient, built: dict[str, Image], tmp_path: Path
) -> None:
    script = tmp_path / "Dockerfile"
    script.write_text(f"FROM {built['toxiproxy'].id}\nRUN echo the reason; exit 3\n")
    stream = io.BytesIO()
    context.write_tar(stream, {"Dockerfile": script})
    stream.seek(0)
    with pytest.raises(EnvironmentProblem) as caught:
        building.build(
            client,
            stream,
            name="broken",
            reference="chaos-gate/broken:test",
            dockerfile="Dockerfile",
            arguments={},
            labels={},
            say=lambda _: None,
        )
    assert "image broken cannot be built" in caught.value.message
    assert "the reason" in caught.value.message and "returned a non-zero code: 3" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [("write /x: No space left on device", "no disk space left"), ("boom", "boom")],
)
def test_full_disk_is_reported(said: str, expected: str) -> None:
    assert expected in building.problem_of("it failed", said).message


@pytest.mark.parametrize(("every_s", "told"), [(0.0, 2), (1e9, 0)])
def test_only_long_steps_are_reported(
    every_s: float, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a line per step, whatever the engine says in between."""
    monkeypatch.setattr(building, "_SAY_EVERY_S", every_s)
    said: list[str] = []
    listener = building.BuildProgress("x", said.append)
    for text in ("Step 1/2 : FROM a\n", " ---> 0123456789ab\n", "chatter\n", "Step 2/2 : RUN b\n"):
        listener.take({"stream": text})
    assert said == ["image x: Step 1/2 : FROM a", "image x: Step 2/2 : RUN b"][:told]
