"""The docker backend, as the harness inside the pod sees it.

The conductor has made the pod. This module runs in the pod's holder, where the workspace, a volume
of limited size, is mounted. Watcher, LLM server and Toxiproxy are containers that share the pod's
process table, loopback and volume. The injector and the wire proxy are child processes. So every
fault, sampler and probe works as in the local sandbox.
"""

import os
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import command_line, processes
from chaos.record.rundir import CONTAINERS_LEFT, RunDir
from chaos.record.target import ServiceSpec, Target
from chaos.stack.base import CommandResult, Service
from chaos.stack.builder import StackBuilder
from chaos.stack.clock import WatcherClock
from chaos.stack.docker.channel import ConductorDefect, Outside
from chaos.stack.docker.service import ContainerService, WitnessService, run_outside
from chaos.stack.process import Ready, Surroundings
from chaos.stack.proctree import ancestors
from chaos.stack.witness import READY_LIMIT_S, SystemCallWitness, wire_witness
from chaos.stack.workspace import fill_words

WORKSPACE = Path("/workspace")
# Mounted into the holder and, read-only, into the Watcher's container: images/witness and its door.
WITNESS_PROGRAMS = Path("/opt/witness")
PYTHON = "/opt/venv/bin/python"  # in each image
_LLM_LOG = "logs/llm_server.log"  # in the workspace: images/llm/Dockerfile
SECOND = "watcher_second"
_SIZE_SLACK = 1.05
_DOWN_LIMIT_S = 60.0
_LEFTOVERS_LIMIT_S = 2.0


class DockerBackend(StackBuilder):
    """`repo`: the folder of the harness and of the stack's programs in the image."""

    name = "docker"

    def __init__(
        self,
        target: Target,
        settings: Mapping[str, Any],
        run: RunDir,
        outside: Outside,
        repo: Path,
        *,
        cancel: threading.Event,
        needs: frozenset[str] = frozenset(),
    ) -> None:
        skipped = ("PYTHON", "CHAOS")
        super().__init__(
            target,
            settings,
            run,
            repo / "images",
            python=PYTHON,
            workspace=WORKSPACE,
            python_path=str(repo),
            inherited={k: v for k, v in os.environ.items() if not k.startswith(skipped)},
            sandboxed=True,
            cancel=cancel,
            needs=needs,
        )
        self._outside = outside
        self._witness: SystemCallWitness | None = None

    # The workspace

    def _make_workspace(self) -> None:
        """Check the volume: disk faults would fill one on the host's disk."""
        volume = os.statvfs(WORKSPACE)
        size_mb = volume.f_blocks * volume.f_frsize / (1 << 20)
        own = WORKSPACE.stat().st_dev != WORKSPACE.parent.stat().st_dev
        if not own or size_mb > self._target.workspace.size_mb * _SIZE_SLACK:
            raise EnvironmentProblem(
                f"the workspace is no volume of its own with {self._target.workspace.size_mb} MB "
                f"(it has {size_mb:.0f} MB)",
                place=str(WORKSPACE),
                next_step="give docker-compose.yml its volume `workspace` (a tmpfs) back",
            )

    def _remove_workspace(self) -> list[str]:
        left = []
        for path in WORKSPACE.iterdir():
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except OSError as error:
                left.append(f"{path}: {error.strerror}")
        return left

    def _sweep(self) -> list[str]:
        """Kill everything in the pod except its init, its holder and us; remove the containers."""
        ours = {*ancestors(), *_holders()}
        left = self._kill({p.pid for p in processes()} - ours, _LEFTOVERS_LIMIT_S)
        try:
            answer = self._outside.call("down", _DOWN_LIMIT_S)
        except (EnvironmentProblem, ConductorDefect) as problem:
            # The conductor still removes the pod, or `chaos clean` does.
            return [*left, f"{CONTAINERS_LEFT}: {problem}"]
        return left + [str(item) for item in answer["left"]]

    # The witnesses

    def _start_witnesses(self) -> dict[str, Service]:
        if "witness" not in self._needs:
            return {}
        started: dict[str, Service] = {}
        programs = self._images / "wire_witness"
        wire = wire_witness(programs, self._run_dir, self._target, self._observer)
        problem = self._start_problem(wire)
        if problem:
            self.not_witnessed["wire"] = problem
        else:
            started["wire_witness"] = wire
        protected = [*ancestors(), *_holders(), *filter(None, [wire.pid()])]
        witness = SystemCallWitness(
            WITNESS_PROGRAMS,
            WITNESS_PROGRAMS / "door",
            self._run_dir.witness,
            WORKSPACE,
            self._observer,
            protected,
        )
        problem = self._start_problem(witness.service) or self._watch_problem(witness)
        if problem:
            self.not_witnessed["syscalls"] = problem
        else:
            started["witness"] = witness.service
            self._witness, self._calls = witness, witness.rules
        return started

    def _observer(self, name: str, argv: Sequence[str], ready_file: Path) -> Service:
        log = self._log(name)
        ready = Ready(ready_file, READY_LIMIT_S, "`--witness none` runs without it")
        record = self._run_dir.witness if name == "witness" else self._run_dir.wire
        return WitnessService(
            name, argv, record, self._outside, log, ready=ready, cancel=self._cancel
        )

    def _start_problem(self, witness: Service) -> str:
        """Start it; returns why the engine does not allow it."""
        try:
            self._start(witness)
        except EnvironmentProblem as problem:
            return problem.message
        return ""

    def _watch_problem(self, witness: SystemCallWitness) -> str:
        """Why the Watcher's container cannot be watched: tried in one that is like it."""
        try:
            return witness.problem(lambda argv, limit_s: run_outside(self._outside, argv, limit_s))
        except EnvironmentProblem as problem:  # an image of the user's may lack our interpreter
            return problem.message

    def _entry(self, name: str) -> tuple[str, ...]:
        return self._witness.entry(name) if self._witness is not None else ()

    # The services

    def _supervisor(self) -> Service:
        return self._container("llm_supervisor", "llm")

    def _relay(self) -> Service:
        raise EnvironmentProblem("in containers the LLM server is the one of the image")

    def _llm_log(self) -> Path:
        return WORKSPACE / _LLM_LOG

    def _proxy_service(self) -> Service:
        return self._container("proxy", "toxiproxy")

    def _container(self, name: str, container: str) -> ContainerService:
        return ContainerService(
            name, container, self._outside, self._log(name), cancel=self._cancel
        )

    def _program(self, name: str, spec: ServiceSpec, clock: WatcherClock | None) -> Service:
        if name != "watcher":  # beside the harness
            where = Surroundings(WORKSPACE, self._for_watcher.env, self._entry(name))
            return self._local(name, spec, where)
        argv = fill_words(spec.start, self._values, place=f"target {self._target.target}, {name}")
        next_step = "see also `docker logs`; its command: " + " ".join(argv)
        file = WORKSPACE / spec.ready_file if spec.ready_file else None
        ready = Ready(file, spec.ready_limit_s, next_step, url=spec.ready_url)
        if self._witness is not None:  # compose has made a container that is not watched
            self._clone(name, [*self._entry(name), *argv])
        return ContainerService(
            name,
            name,
            self._outside,
            self._log(name),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
            ready=ready if file or spec.ready_url else None,
            cancel=self._cancel,
        )

    def _second_watcher(self, watcher: Service) -> Service:
        spec = self._target.watcher
        argv = fill_words(spec.start, self._values, place=f"target {self._target.target}, watcher")
        self._clone(SECOND, [*self._entry(SECOND), *argv])
        return ContainerService(
            SECOND,
            SECOND,
            self._outside,
            watcher.log.with_name(f"{SECOND}.log"),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
        )

    def _clone(self, name: str, argv: Sequence[str]) -> None:
        """Make the container `name` like the Watcher's, for another command."""
        self._outside.call("clone", _DOWN_LIMIT_S, service="watcher", name=name, command=argv)

    def _run_command(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        return run_outside(self._outside, [*self._entry("command"), *argv], limit_s)

    def _watcher_clock(self) -> WatcherClock | None:
        return None  # the library would have to be built for the Watcher's image


def _holders() -> set[int]:
    """The pod's init and its holder."""
    return {1} | {p.pid for p in processes() if "hold.py" in command_line(p.pid)}
