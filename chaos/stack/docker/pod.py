"""The pod of one run, seen from outside: starts, queries, clones and removes its containers.

Knows the engine and the run's label; nothing of faults or soaks. The client limits the time of each
call. Errors are `EnvironmentProblem`s.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from docker import DockerClient

from chaos.base.errors import EnvironmentProblem
from chaos.stack.docker import objects
from chaos.stack.docker.engine import ERRORS, problems_of
from chaos.stack.docker.service import SERVICE_VARIABLE

HOLDER = "injector"
SERVICES = (HOLDER, "llm", "toxiproxy", "watcher")
# The same names as in the local backend.
LOG_NAMES = {HOLDER: "pod", "llm": "llm_supervisor", "toxiproxy": "proxy"}
# What the harness inside may call, by name, with its arguments by name.
OPERATIONS = ("start", "state", "exit_code", "run", "clone", "witness", "down")
# The capabilities of each witness, which nothing else in the pod has: to read the memory of
# processes that it did not start, where Yama forbids it; to capture frames, into a large buffer.
_CAPABILITIES = {"witness": ("SYS_PTRACE",), "wire_witness": ("NET_RAW", "NET_ADMIN")}
_OUTPUT_BYTES = 4096
_EXIT_LIMIT_S = 20.0
_LOOK_S = 0.02
_JOIN_LIMIT_S = 5.0


class Pod:
    """The containers of one run, by their compose service or a clone's name. Thread-safe.

    `logs`: the folder that gets `<service>.log` of each container.
    """

    def __init__(self, client: DockerClient, run_id: str, logs: Path) -> None:
        self._client = client
        self._run_id = run_id
        self._logs = logs
        self._ids: dict[str, str] = {}
        self._followers: list[threading.Thread] = []
        self._commands = 0
        self._unanswered = False
        self._lock = threading.Lock()

    def make(self, compose: Callable[[Sequence[str]], None]) -> None:
        """Make the holder with `compose`, start it, then make the other containers. Blocks."""
        try:
            compose([HOLDER])
            self._find([HOLDER])
            self.start(HOLDER)
            compose([])
            self._find(SERVICES)
        except objects.Unanswered:
            self._unanswered = True
            raise

    def _find(self, services: Sequence[str]) -> None:
        """List the containers of the run. Raises when one of `services` has none."""
        with problems_of("looking for the containers"):
            containers = self._client.api.containers(
                all=True, filters=objects.labelled(self._run_id)
            )
        self._ids = {
            each["Labels"]["com.docker.compose.service"]: each["Id"] for each in containers
        }
        missing = [service for service in services if service not in self._ids]
        if missing:
            raise EnvironmentProblem(
                f"compose has made no container for {', '.join(missing)}",
                next_step="see logs/compose.log in the run directory",
            )

    def id_of(self, service: str) -> str:
        """The container's id. Raises `EnvironmentProblem` if there is no such container."""
        try:
            return self._ids[service]
        except KeyError:
            raise EnvironmentProblem(f"the pod has no container {service}") from None

    def start(self, service: str) -> dict[str, Any]:
        """Start the container; its output goes to its log from now on."""
        container = self.id_of(service)
        # If the engine has not noticed yet that the last process ended, it answers "already
        # started", and starts nothing. So wait for that first.
        if self.exit_code(service)["running"]:
            raise EnvironmentProblem(
                f"the engine takes the container {service} for running, and its process is gone",
                next_step="see whether the engine is overloaded (docker events)",
            )
        since_s = time.time()
        with problems_of(f"starting the container {service}"):
            self._client.api.start(container)
        follower = threading.Thread(
            target=self._follow, args=(service, container, since_s), name="log", daemon=True
        )
        follower.start()
        with self._lock:
            self._followers = [t for t in self._followers if t.is_alive()] + [follower]
        return {}

    def state(self, service: str) -> dict[str, Any]:
        """Whether the container runs, its exit code if not, and whether memory ran out."""
        with problems_of(f"looking at the container {service}"):
            state = self._client.api.inspect_container(self.id_of(service))["State"]
        running = state["Status"] in ("running", "restarting", "paused")
        return {
            "running": running,
            "exit_code": None if running else int(state["ExitCode"]),
            "out_of_memory": bool(state.get("OOMKilled")),
        }

    def exit_code(self, service: str) -> dict[str, Any]:
        """The state once the engine has noticed the end, or after `_EXIT_LIMIT_S`."""
        deadline_s = time.monotonic() + _EXIT_LIMIT_S
        while True:
            state = self.state(service)
            if not state["running"] or time.monotonic() > deadline_s:
                return state
            time.sleep(_LOOK_S)

    def clone(
        self, service: str, name: str, command: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Make (not start) a container like `service`'s, called `name`. Replaces an older one."""
        with problems_of(f"making a container like {service}"):
            description = self._client.api.inspect_container(self.id_of(service))
            old = self._ids.pop(name, None)
            if old is not None:
                self._client.api.remove_container(old, force=True, v=True)
            config = _config_of(description, name, command)
            made = self._client.api.create_container_from_config(config)  # type: ignore[no-untyped-call]
        self._ids[name] = str(made["Id"])
        return {}

    def witness(self, name: str, argv: Sequence[str]) -> dict[str, Any]:
        """Make (not start) a container like the holder, in the pod, for the witness `name`."""
        api, holder = self._client.api, self.id_of(HOLDER)
        with problems_of(f"making a container for the {name}"):
            config = _witness_config(api.inspect_container(holder), name, argv)
            made = api.create_container_from_config(config)  # type: ignore[no-untyped-call]
        self._ids[name] = str(made["Id"])
        return {}

    def run(self, argv: Sequence[str], within_s: float) -> dict[str, Any]:
        """Run a command in the Watcher's container, or in a clone while that does not run."""
        start_s = time.monotonic()
        if self.state("watcher")["running"]:
            code, output = self._exec(argv, within_s)
        else:
            code, output = self._run_in_clone(argv, within_s)
        took_s = time.monotonic() - start_s
        return {"exit_code": code, "output": output[-_OUTPUT_BYTES:], "took_s": took_s}

    def _exec(self, argv: Sequence[str], limit_s: float) -> tuple[int | None, str]:
        api = self._client.api
        with problems_of(f"running {argv[0]} in the Watcher's container"):
            made = api.exec_create(self.id_of("watcher"), list(argv))
            stream = api.exec_start(made["Id"], stream=True)
            output = bytearray()
            reader = threading.Thread(target=_drain, args=(stream, output), daemon=True)
            reader.start()
            reader.join(limit_s)
            state = api.exec_inspect(made["Id"])
        # A command that exceeds its limit stays in the Watcher's container, and ends with it.
        code = None if state["Running"] else int(state["ExitCode"])
        return code, output.decode(errors="replace")

    def _run_in_clone(self, argv: Sequence[str], limit_s: float) -> tuple[int | None, str]:
        with self._lock:
            self._commands += 1
            name = f"command_{self._commands}"
        self.clone("watcher", name, argv)
        container, api = self.id_of(name), self._client.api
        with problems_of(f"running {argv[0]}"):
            try:
                api.start(container)
                code = self._waited(container, limit_s)
                output = api.logs(container, stdout=True, stderr=True, tail=200)
            finally:
                self._ids.pop(name, None)
                api.remove_container(container, force=True, v=True)
        return code, bytes(output).decode(errors="replace")

    def _waited(self, container: str, limit_s: float) -> int | None:
        # An interrupted run asks with 0 s left, and the SDK refuses a timeout of 0.
        whole_s = max(1, math.ceil(limit_s))
        try:
            return int(self._client.api.wait(container, timeout=whole_s)["StatusCode"])
        except (requests.ReadTimeout, requests.ConnectionError):  # how the SDK reports a timeout
            return None

    def down(self) -> dict[str, Any]:
        """Remove every container but the holder; the answer has what could not be removed."""
        left = objects.remove(self._client, self._run_id, spare=self.id_of(HOLDER))
        return {"left": left}

    def remove(self) -> list[str]:
        """Remove everything of the run; returns what could not be removed."""
        left = objects.remove_all(self._client, self._run_id, unanswered=self._unanswered)
        for follower in self._followers:
            follower.join(_JOIN_LIMIT_S)
        return left

    def kill(self) -> None:
        """End every process of the pod at once; its objects stay until `remove`."""
        with suppress(*ERRORS):  # gone already
            self._client.api.kill(self.id_of(HOLDER))

    def _follow(self, service: str, container: str, since_s: float) -> None:
        """Append the container's output to its log until it ends."""
        path = self._logs / f"{LOG_NAMES.get(service, service)}.log"
        ended = suppress(*ERRORS)
        with path.open("ab") as log, ended:
            for piece in self._client.api.logs(
                container, stream=True, follow=True, stdout=True, stderr=True, since=since_s
            ):
                log.write(piece)
                log.flush()


def _drain(stream: Iterator[bytes], output: bytearray) -> None:
    with suppress(*ERRORS, OSError):
        for piece in stream:
            output.extend(piece)
            del output[:-_OUTPUT_BYTES]


def _config_of(
    description: Mapping[str, Any], name: str, command: Sequence[str] | None
) -> dict[str, Any]:
    """Turn the engine's description of a container into a request for another one like it."""
    config = dict(description["Config"])
    for refused in ("Hostname", "ExposedPorts"):  # not allowed with another container's network
        config.pop(refused, None)
    config["HostConfig"] = description["HostConfig"]
    environment = [e for e in config["Env"] or () if not e.startswith(f"{SERVICE_VARIABLE}=")]
    config["Env"] = [*environment, f"{SERVICE_VARIABLE}={name}"]
    labels = {k: v for k, v in config["Labels"].items() if not k.startswith("com.docker.compose")}
    config["Labels"] = {**labels, "com.docker.compose.service": name}
    config["Healthcheck"] = {"Test": ["NONE"]}
    if command is not None:
        config["Cmd"] = list(command)
    return config


def _witness_config(holder: Mapping[str, Any], name: str, argv: Sequence[str]) -> dict[str, Any]:
    """A request for a container with the holder's image, user and mounts, and capabilities.

    The engine gives capabilities to root alone. So the container begins as root, which may do
    nothing but become the holder's user, and keeps the capabilities of the witness.
    """
    user, _, group = str(holder["Config"]["User"]).partition(":")
    kept = _CAPABILITIES[name]
    only = ",".join(["-all", *(f"+{capability.lower()}" for capability in kept)])
    command = [
        *("setpriv", "--reuid", user, "--regid", group, "--clear-groups"),
        *("--inh-caps", only, "--ambient-caps", only, "--", *argv),
    ]
    config = {**_config_of(holder, name, command), "User": "0:0"}
    config["HostConfig"] = {
        **holder["HostConfig"],
        "NetworkMode": f"container:{holder['Id']}",
        "PidMode": f"container:{holder['Id']}",
        "CapAdd": [*kept, "SETUID", "SETGID"],
        # What the engine refuses where the network is another container's, and what a witness does
        # not need.
        **{"PortBindings": {}, "Dns": [], "Init": False, "DeviceRequests": []},
    }
    return config
