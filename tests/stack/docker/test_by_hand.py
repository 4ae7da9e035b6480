"""The stack as a user starts it: compose brings it up, it works, it is closed, nothing stays.

One test, for one start takes a minute; each step of it states what must hold.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from chaos.assets import Assets
from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker import compose
from chaos.stack.docker.images import Image
from tests.stack.docker.running import PYTHON, Running
from tests.waiting import wait_for

SERVICES = ("injector", "llm", "toxiproxy", "watcher")
UP_LIMIT_S = 180.0
# Connects to an address; prints what came of it.
PROBE = (
    "import socket, sys\n"
    "try:\n"
    "    socket.create_connection((sys.argv[1], 8000), timeout=3).close()\n"
    "    print('open')\n"
    "except OSError as error:\n"
    "    print('closed', error)\n"
)


class ByHand:
    """The compose files with the settings of one user."""

    def __init__(self, command: compose.Compose, repo: Path, override: Path, env: dict[str, str]):
        self.project = f"chaos-test-{uuid.uuid4().hex[:8]}"
        self._argv = [*command.argv, "--project-name", self.project]
        self._files = ["--file", str(repo / "docker-compose.yml"), "--file", str(override)]
        self._repo = repo
        self.env = {**os.environ, **env, "CHAOS_PROJECT": self.project}

    def call(self, *words: str, limit_s: float = 120.0) -> str:
        """One compose command; its output when it succeeds."""
        done = subprocess.run(
            [*self._argv, *self._files, *words],
            cwd=self._repo,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture
def by_hand(
    client: DockerClient, built: dict[str, Image], assets: Assets, repo: Path, tmp_path: Path
) -> Iterator[ByHand]:
    """Everything but the start; whatever was started is removed."""
    try:
        command = compose.find()
    except EnvironmentProblem as problem:
        pytest.skip(problem.message)
    # The images' own checks, only asked for more often than a user would want.
    often = {"healthcheck": {"interval": "4s", "start_period": "120s"}}
    override = tmp_path / "override.json"
    override.write_text(json.dumps({"services": {name: often for name in SERVICES}}))
    made = ByHand(
        command,
        repo,
        override,
        {
            **{f"CHAOS_{name.upper()}_IMAGE": built[name].reference for name in SERVICES},
            "CHAOS_MODELS": str(assets.model.parent),
            "CHAOS_MODEL_FILE": assets.model.name,
            "CHAOS_LLM_PORT": free_port(),
            "CHAOS_PROXY_API_PORT": free_port(),
            "CHAOS_DRAW_INTERVAL_S": "3",
        },
    )
    try:
        yield made
    finally:
        made.call("down", "--volumes", "--timeout", "5")
    assert left_of(client, made.project) == []


def left_of(client: DockerClient, project: str) -> list[str]:
    """Everything that carries the label of the project, running or not."""
    filters: dict[str, Any] = {"label": f"io.chaos-gate.project={project}"}
    return [
        *(
            str(found.name)
            for found in client.containers.list(all=True, ignore_removed=True, filters=filters)
        ),
        *(str(found.name) for found in client.volumes.list(filters=filters)),
        *(str(found.name) for found in client.networks.list(filters=filters)),
    ]


@pytest.mark.docker
@pytest.mark.stack
@pytest.mark.slow(seconds=60)
def test_stack_by_hand_becomes_healthy_decides_and_has_no_route_out(
    by_hand: ByHand, client: DockerClient, built: dict[str, Image]
) -> None:
    by_hand.call("up", "-d", "--no-build", limit_s=UP_LIMIT_S)
    running = {name: found(client, by_hand.project, name) for name in SERVICES}
    for name, one in running.items():
        wait_for(f"{name} is healthy", lambda one=one: healthy(one), UP_LIMIT_S)
    for name, one in running.items():
        closed_and_bounded(name, one)
    the_llm_decides(running["watcher"])
    ports_are_published_on_loopback(by_hand, running["injector"])
    with listener(client, built["injector"].reference) as (address, neighbour):
        assert neighbour.ask(PYTHON, "-c", PROBE, address) == (0, "open")  # the control
        for name in ("injector", "watcher"):
            assert running[name].ask(PYTHON, "-c", PROBE, address)[1].startswith("closed")
    questions_for_names_stay_in_the_pod(running["watcher"])


def found(client: DockerClient, project: str, role: str) -> Running:
    labels = [f"io.chaos-gate.project={project}", f"io.chaos-gate.role={role}"]
    (container,) = client.containers.list(all=True, filters={"label": labels})
    return Running(container)


def healthy(one: Running) -> bool:
    state = one.health()
    assert one.container.status == "running", one.container.logs(tail=20)
    return state == "healthy"


def closed_and_bounded(name: str, one: Running) -> None:
    """What the files say is what the engine does, and what a process in there can do."""
    host = one.container.attrs["HostConfig"]
    assert host["ReadonlyRootfs"] and not host["Privileged"]
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0 and host["PidsLimit"] > 0
    assert not [bind for bind in host["Binds"] or [] if "docker.sock" in bind]
    if name == "toxiproxy":
        return
    _, status = one.ask(PYTHON, "-c", "print(open('/proc/self/status').read())")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == ["10001"] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    code, output = one.ask(PYTHON, "-c", "open('/opt/x', 'w')")
    assert code == 1 and "Read-only file system" in output


def the_llm_decides(watcher: Running) -> None:
    """Requests come out of draws, the LLM answers, and the work is done."""

    def decided() -> list[dict[str, Any]]:
        program = "import sys; sys.stdout.write(open('watcher_decisions.jsonl').read())"
        code, output = watcher.ask(PYTHON, "-c", program)
        lines = [json.loads(line) for line in output.splitlines()] if code == 0 else []
        return [line for line in lines if line["status"] == "COMPLETED"]

    wait_for("two decisions", lambda: len(decided()) >= 2, UP_LIMIT_S)
    assert [line["decided_by"] for line in decided()][:2] == ["llm", "llm"]


def ports_are_published_on_loopback(by_hand: ByHand, injector: Running) -> None:
    ports = injector.container.attrs["NetworkSettings"]["Ports"]
    assert {binding["HostIp"] for bound in ports.values() for binding in bound} == {"127.0.0.1"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    base = f"http://127.0.0.1:{by_hand.env['CHAOS_PROXY_API_PORT']}"
    with opener.open(f"{base}/proxies/llm", timeout=10) as answer:
        assert json.load(answer)["enabled"] is True
    through = f"http://127.0.0.1:{by_hand.env['CHAOS_LLM_PORT']}/health"

    def answers() -> bool:  # the Watcher has the server stopped now and then
        try:
            return bool(opener.open(through, timeout=10).status == 200)
        except OSError:
            return False

    wait_for("the LLM answers through the published port", answers)


@contextmanager
def listener(client: DockerClient, image: str) -> Iterator[tuple[str, Running]]:
    """A web server in a network of its own: address, and a container to reach it from."""
    name = f"chaos-test-{uuid.uuid4().hex[:8]}"
    network = client.networks.create(name, driver="bridge", internal=True)
    container = client.containers.create(
        image, [PYTHON, "-m", "http.server", "8000"], network=name, init=True, cap_drop=["ALL"]
    )
    try:
        container.start()
        container.reload()
        address = str(container.attrs["NetworkSettings"]["Networks"][name]["IPAddress"])
        one = Running(container)
        wait_for("it listens", lambda: one.ask(PYTHON, "-c", PROBE, address)[1] == "open")
        yield address, one
    finally:
        container.remove(force=True)
        network.remove()


def questions_for_names_stay_in_the_pod(watcher: Running) -> None:
    """The engine's resolver forwards them only to the pod's own loopback."""
    program = (
        "import socket, threading\n"
        "def ask():\n"
        "    try: socket.getaddrinfo('name.invalid', 80)\n"
        "    except OSError: pass\n"
        "server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "server.bind(('127.0.0.1', 53))\n"
        "server.settimeout(10)\n"
        "threading.Thread(target=ask, daemon=True).start()\n"
        "print(b'invalid' in server.recv(512))\n"
    )
    assert watcher.ask(PYTHON, "-c", program) == (0, "True")


@pytest.mark.parametrize("files", [("",), (".gpu",), ("", ".gpu")])
def test_compose_accepts_the_files(
    files: tuple[str, ...], repo: Path, find_compose: Callable[[], compose.Compose]
) -> None:
    """Each alone, and the one laid over the other; needs no engine."""
    command = find_compose()
    named = [f"--file={repo / f'docker-compose{which}.yml'}" for which in files]
    done = subprocess.run(
        [*command.argv, *named, "config"],
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower()


@pytest.fixture
def find_compose() -> Callable[[], compose.Compose]:
    """Compose, or the reason why the test is skipped."""

    def find() -> compose.Compose:
        try:
            return compose.find()
        except EnvironmentProblem as problem:
            pytest.skip(problem.message)

    return find
