"""The docker backend as the harness inside the pod sees it.

The pod is up (conductor.py): its holder, in which this runs, with the workspace, a size-limited
volume of the pod's own, mounted. Watcher, LLM server and Toxiproxy are containers that share its
process table, its loopback and that volume; the injector and the wire proxy are plain processes
beside us. So every fault, sampler and probe works as it does in the local sandbox.
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
from chaos.record.owner import RUN_ID_VARIABLE
from chaos.record.rundir import RunDir
from chaos.record.target import ServiceSpec, Target
from chaos.stack.base import CommandResult, Service
from chaos.stack.builder import StackBuilder
from chaos.stack.clock import WatcherClock
from chaos.stack.docker.channel import ConductorDefect, Outside
from chaos.stack.docker.service import ContainerService, run_outside
from chaos.stack.process import ReadyFile, Surroundings
from chaos.stack.proctree import ancestors
from chaos.stack.workspace import fill_words, product_environment

WORKSPACE = Path("/workspace")
PYTHON = "/opt/venv/bin/python"  # of each image, its own
_LLM_LOG = "logs/llm_server.log"  # in the workspace: images/llm/Dockerfile
SECOND = "watcher_second"
_SIZE_SLACK = 1.05
_DOWN_LIMIT_S = 60.0
_LEFTOVERS_LIMIT_S = 2.0


class DockerBackend(StackBuilder):
    """`repo`: where the harness and the programs of the stack are in the image."""

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
        images = repo / "images"
        values = values_for(settings, images)
        marked = {**_inherited(), RUN_ID_VARIABLE: run.run_id, "PYTHONUNBUFFERED": "1"}
        super().__init__(
            target,
            values,
            run,
            images,
            where=Surroundings(WORKSPACE, {**marked, **product_environment(target, values)}),
            # Our own interpreter has what the harness needs; a target's has what it declares.
            ours=Surroundings(run.path, {**marked, "PYTHONPATH": str(repo)}),
            sandboxed=True,
            cancel=cancel,
            needs=needs,
        )
        self._outside = outside

    # The place it lives in

    def _make_workspace(self) -> None:
        """It is there; a volume on the host's disk instead would be filled by the disk faults."""
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
        """What is left in the pod beside us and its init, then the containers themselves."""
        ours = {1, *ancestors()} | {p.pid for p in processes() if _holds(p.pid)}
        left = self._kill({p.pid for p in processes()} - ours, _LEFTOVERS_LIMIT_S)
        try:
            answer = self._outside.call("down", _DOWN_LIMIT_S)
        except (EnvironmentProblem, ConductorDefect) as problem:
            # The pod is still taken down, or `chaos clean` does it.
            return [*left, f"containers of the run: {problem}"]
        return left + [str(item) for item in answer["left"]]

    # What is started, and how

    def _supervisor(self) -> Service:
        return self._container("llm_supervisor", "llm")

    def _llm_log(self) -> Path:
        return WORKSPACE / _LLM_LOG

    def _proxy_service(self) -> Service:
        return self._container("proxy", "toxiproxy")

    def _container(self, name: str, container: str) -> ContainerService:
        return ContainerService(
            name, container, self._outside, self._log(name), cancel=self._cancel
        )

    def _program(self, name: str, spec: ServiceSpec, clock: WatcherClock | None) -> Service:
        if name == "injector":
            return self._local(name, spec, self._where)
        argv = fill_words(spec.start, self._values, place=f"target {self._target.target}, {name}")
        how_to_look = "see also `docker logs`; its command: " + " ".join(argv)
        ready = WORKSPACE / spec.ready_file if spec.ready_file else None
        return ContainerService(
            name,
            name,
            self._outside,
            self._log(name),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
            ready=ReadyFile(ready, spec.ready_limit_s, how_to_look) if ready else None,
            cancel=self._cancel,
        )

    def _second_watcher(self, watcher: Service) -> Service:
        self._outside.call("clone", _DOWN_LIMIT_S, service="watcher", name=SECOND)
        spec = self._target.watcher
        return ContainerService(
            SECOND,
            SECOND,
            self._outside,
            watcher.log.with_name(f"{SECOND}.log"),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
        )

    def _run_command(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        return run_outside(self._outside, argv, limit_s)

    def _watcher_clock(self) -> WatcherClock | None:
        return None  # its library would have to be built for the Watcher's image


def values_for(settings: Mapping[str, Any], images: Path) -> dict[str, Any]:
    """What the placeholders of a target stand for in the pod."""
    return {**settings, "python": PYTHON, "workspace": str(WORKSPACE), "programs": str(images)}


def _inherited() -> dict[str, str]:
    """Our environment without our Python set-up."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CHAOS"))}


def _holds(pid: int) -> bool:
    return "hold.py" in command_line(pid)
