"""The network that docker-compose.yml describes has no way out of the host.

"Outside" is a network namespace that the test makes, with an address from a range that is nobody's
(TEST-NET-2), behind the host as the world is behind it. Nothing beyond this machine is asked.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from docker import DockerClient
from docker.models.containers import Container

from chaos.stack.docker.images import Image
from tests.stack.docker.running import PYTHON
from tests.waiting import wait_for

PORT = 8000
PROBE = (
    "import socket, sys\n"
    "try:\n"
    f"    socket.create_connection((sys.argv[1], {PORT}), timeout=3).close()\n"
    "    print('open')\n"
    "except OSError as error:\n"
    "    print('closed', error)\n"
)


@pytest.fixture
def outside() -> Iterator[str]:
    """The address of a server that is not on this host, as far as its containers can tell."""
    program = shutil.which("ip")
    if os.geteuid() != 0 or program is None:
        pytest.skip("needs root and `ip`, to make a network namespace")
    token, number = secrets.token_hex(3), secrets.randbelow(60) * 4
    space, here, there = f"out-{token}", f"oh-{token}", f"ot-{token}"
    host, server = f"198.51.100.{number + 1}", f"198.51.100.{number + 2}"

    def ip(*words: str) -> None:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=20, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")

    ip("netns", "add", space)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there)
        ip("link", "set", there, "netns", space)
        ip("addr", "add", f"{host}/30", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", space, "addr", "add", f"{server}/30", "dev", there)
        ip("-n", space, "link", "set", there, "up")
        with serving(program, space, server):
            yield server
    finally:
        subprocess.run([program, "netns", "delete", space], timeout=20, check=False)


@contextmanager
def serving(program: str, space: str, address: str) -> Iterator[None]:
    """A web server in the namespace, listening when this gives way."""
    argv = [sys.executable, "-m", "http.server", str(PORT), "--bind", address]
    process = subprocess.Popen(
        [program, "netns", "exec", space, *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        probe = [sys.executable, "-c", PROBE, address]
        wait_for("it listens", lambda: "open" in said_by(probe) or process.poll() is not None)
        assert process.poll() is None
        yield
    finally:
        process.kill()
        process.wait(10)


def said_by(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout


def from_within(client: DockerClient, image: str, address: str, options: dict[str, str]) -> str:
    """What a container in a network with these options says of its attempt."""
    network = client.networks.create(f"chaos-test-{secrets.token_hex(4)}", options=options)
    container: Container | None = None
    try:
        container = client.containers.create(
            image, [PYTHON, "-c", PROBE, address], network=network.name, cap_drop=["ALL"]
        )
        container.start()
        container.wait(timeout=60)
        return bytes(container.logs()).decode().strip()
    finally:
        if container is not None:
            container.remove(force=True)
        network.remove()


@pytest.mark.docker
@pytest.mark.slow
def test_pod_reaches_nothing_outside_the_host(
    client: DockerClient, built: dict[str, Image], outside: str, repo: Path
) -> None:
    """With a control: an ordinary network of the same engine does reach it."""
    files = yaml.safe_load((repo / "docker-compose.yml").read_text(encoding="utf-8"))
    options = files["networks"]["pod"]["driver_opts"]
    image = built["injector"].reference
    control = from_within(client, image, outside, {})
    if control != "open":
        pytest.skip(f"an ordinary network of this engine does not get there either: {control}")
    assert from_within(client, image, outside, options).startswith("closed")
