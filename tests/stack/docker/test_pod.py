"""A container made anew like another one of the pod, without what the engine would refuse."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from docker import DockerClient
from docker.errors import NotFound

from chaos.stack.docker.images import Image
from chaos.stack.docker.pod import Pod, _config_of, _witness_config


@pytest.mark.parametrize(("limit_s", "asked_s"), [(-1.0, 1), (0.0, 1), (0.2, 1), (7.1, 8)])
def test_wait_without_time_left_uses_the_shortest_timeout(
    limit_s: float, asked_s: int, tmp_path: Path
) -> None:
    """A run interrupted before its first command has none left. The client is a stand-in that
    refuses what the SDK refuses.
    """

    class Client:
        def __init__(self) -> None:
            self.api = self
            self.asked: list[int] = []

        def wait(self, _container: str, *, timeout: int) -> dict[str, int]:
            if timeout <= 0:
                raise ValueError("the timeout cannot be set to a value less than or equal to 0")
            self.asked.append(timeout)
            return {"StatusCode": 3}

    client = Client()
    assert Pod(cast(DockerClient, client), "run", tmp_path)._waited("one", limit_s) == 3
    assert client.asked == [asked_s]


@pytest.mark.docker
@pytest.mark.slow
def test_container_of_an_image_with_ports_can_be_cloned(
    client: DockerClient, built: dict[str, Image]
) -> None:
    """A container's description has the ports of its image, which a shared network does not allow.

    A user's own Watcher image (CHAOS_WATCHER_IMAGE) may have an EXPOSE.
    """
    image = built["toxiproxy"].reference
    assert client.images.get(image).attrs["Config"]["ExposedPorts"]
    api = client.api
    made: list[str] = []
    try:
        holder = client.containers.run(
            image, entrypoint=["sleep", "600"], detach=True, network_mode="none"
        )
        made.append(str(holder.id))
        first = client.containers.create(image, network_mode=f"container:{holder.id}")
        made.append(str(first.id))
        config = _config_of(api.inspect_container(first.id), "second", ["true"])
        assert config["Labels"]["com.docker.compose.service"] == "second"
        made.append(str(api.create_container_from_config(config)["Id"]))  # type: ignore[no-untyped-call]
    finally:
        for one in reversed(made):
            with suppress(NotFound):
                api.remove_container(one, force=True, v=True)


@pytest.mark.parametrize(
    ("name", "kept"), [("witness", ["SYS_PTRACE"]), ("wire_witness", ["NET_RAW", "NET_ADMIN"])]
)
def test_witness_has_its_capabilities_and_nothing_else_that_the_holder_lacks(
    name: str, kept: list[str]
) -> None:
    confined = {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Memory": 1 << 29,
        "PidsLimit": 128,
        "Binds": ["/host/run:/runs/soak/run"],
    }
    holder = {
        "Id": "0123",
        "Config": {"User": "1234:5678", "Env": ["A=b"], "Labels": {"io.chaos-gate.project": "r"}},
        "HostConfig": {
            **confined,
            "NetworkMode": "chaos_pod",
            "PidMode": "",
            "PortBindings": {"8080/tcp": [{"HostPort": "0"}]},
            "Dns": ["127.0.0.1"],
            "Init": True,
        },
    }
    config = _witness_config(holder, name, ["python", "watch"])
    host = config["HostConfig"]
    assert {key: host[key] for key in confined} == confined
    assert host["CapAdd"] == [*kept, "SETUID", "SETGID"]  # the last two to become the user
    assert host["NetworkMode"] == host["PidMode"] == "container:0123"
    assert not (host["PortBindings"] or host["Dns"] or host["Init"])
    words = " ".join(config["Cmd"])
    assert words.startswith("setpriv --reuid 1234 --regid 5678 --clear-groups ")
    only = ",".join(["-all", *(f"+{one.lower()}" for one in kept)])
    assert words.endswith(f"--inh-caps {only} --ambient-caps {only} -- python watch")
    assert config["Labels"]["io.chaos-gate.project"] == "r"  # so it is removed with the run
