"""The local backend: the stack as processes, in the private sandbox or (weaker) without one.

Defines how the programs are started, and the workspace; the rest is in builder.py. Knows nothing of
faults, soaks or checks.
"""

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chaos.assets import Assets
from chaos.base.proc import processes
from chaos.base.shipped import python_path
from chaos.record.owner import RUN_ID_VARIABLE
from chaos.record.rundir import RunDir
from chaos.record.target import ServiceSpec, Target
from chaos.sandbox.enter import mount_tmpfs, unmount
from chaos.sandbox.guardian import marked_pids
from chaos.sandbox.relay import SOCKET, inside_argv
from chaos.stack.base import CommandResult, Endpoint, Service
from chaos.stack.builder import LLM_STOP_LIMIT_S, StackBuilder
from chaos.stack.clock import WatcherClock, compiler
from chaos.stack.llm_command import supervisor_argv
from chaos.stack.process import LocalService, Surroundings, run_command
from chaos.stack.proctree import ancestors
from chaos.stack.proxies import proxy_argv
from chaos.stack.witness import READY_LIMIT_S, SystemCallWitness, cannot_capture, wire_witness

# In the sandbox /tmp is private, so the path may be the same for every run.
_SANDBOX_WORKSPACE = Path("/tmp/chaos/workspace")
_CLOCK_FOLDER = "watcher_clock"  # beside the workspace
_LEFTOVERS_LIMIT_S = 1.0


class LocalBackend(StackBuilder):
    """`sandboxed`: this process is inside the namespaces that `chaos.sandbox.enter` prepared."""

    name = "local"
    shares_mounts = True

    def __init__(
        self,
        target: Target,
        settings: Mapping[str, Any],
        run: RunDir,
        assets: Assets,
        images: Path,
        *,
        sandboxed: bool,
        cancel: threading.Event | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(
            target,
            settings,
            run,
            images,
            python=sys.executable,
            workspace=_SANDBOX_WORKSPACE if sandboxed else run.path / "workspace",
            python_path=python_path(),
            inherited={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
            sandboxed=sandboxed,
            cancel=cancel,
            needs=needs,
        )
        self._assets = assets
        self._mounted = False
        self._witness: SystemCallWitness | None = None
        self._door: Path | None = None

    # The services

    def _start_witnesses(self) -> dict[str, Service]:
        if "witness" not in self._needs:
            return {}
        wire = self._start_wire_witness()
        # Neither what watches the daemon nor what runs it is in its reach.
        protected = [*ancestors(), *filter(None, [wire.pid() if wire else None])]
        started = {"wire_witness": wire, "witness": self._start_witness(protected)}
        return {name: service for name, service in started.items() if service is not None}

    def _start_wire_witness(self) -> Service | None:
        problem = cannot_capture()
        if problem:
            self.not_witnessed["wire"] = problem
            return None
        programs = self._images / "wire_witness"
        return self._start(wire_witness(programs, self._run_dir, self._target, self._observer))

    def _start_witness(self, protected: Sequence[int]) -> Service | None:
        # A path in the run directory may be too long for a socket.
        self._door = Path(tempfile.mkdtemp(prefix=f"chaos-witness-{os.getpid()}-"))
        witness = SystemCallWitness(
            self._images / "witness",
            self._door / "door",
            self._run_dir.witness,
            self._workspace,
            self._observer,
            protected,
        )
        self._start(witness.service)
        problem = witness.problem(
            lambda argv, limit_s: run_command(argv, self._for_watcher, limit_s)
        )
        if problem:
            self.not_witnessed["syscalls"] = problem
            return None
        self._witness, self._calls = witness, witness.rules
        return witness.service

    def _observer(self, name: str, argv: Sequence[str], ready_file: Path) -> Service:
        log = self._log(name)
        limit_s = READY_LIMIT_S
        return LocalService(
            name, argv, self._for_tools, log, ready_file=ready_file, ready_limit_s=limit_s
        )

    def _watched(self, name: str, where: Surroundings) -> Surroundings:
        return where if self._witness is None else self._witness.watched(where, name)

    def _watcher_clock(self) -> WatcherClock | None:
        if "clock" not in self._needs or compiler() is None:
            return None
        return WatcherClock.build(self._workspace.parent / _CLOCK_FOLDER)

    def _program(self, name: str, spec: ServiceSpec, clock: WatcherClock | None) -> Service:
        where = self._for_watcher
        if clock is not None:
            where = Surroundings(where.cwd, clock.environment(where.env))
        return self._local(name, spec, self._watched(name, where))

    def _second_watcher(self, watcher: Service) -> Service:
        spec = msgspec.structs.replace(self._target.watcher, ready_file="", ready_url="")
        name = "watcher_second"
        return self._local(name, spec, self._watched(name, self._for_watcher))

    def _run_command(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        return run_command(argv, self._watched("command", self._for_watcher), limit_s)

    def _supervisor(self) -> Service:
        llm = self._target.llm
        argv = supervisor_argv(
            self._target,
            self._images / "llm" / "supervisor.py",
            self._values,
            model=self._assets.model,
            events=self._workspace / llm.events,
            log=self._log("llm"),
            stop_limit_s=LLM_STOP_LIMIT_S,
            marked="" if self._sandboxed else f"{RUN_ID_VARIABLE}={self._run_dir.run_id}",
        )
        where = self._for_tools if llm.server is None else self._for_watcher
        return LocalService("llm_supervisor", argv, where, self._log("llm_supervisor"))

    def _relay(self) -> Service:
        llm = self._target.llm
        argv = inside_argv(llm.upstream, SOCKET if self._sandboxed else llm.external)
        return LocalService("llm_relay", argv, self._for_tools, self._log("llm_relay"))

    def _proxy_service(self) -> Service:
        argv = proxy_argv(self._assets.toxiproxy, Endpoint.parse(self._target.llm.proxy_api))
        where = Surroundings(self._run_dir.path, {**self._for_chaos.env, "LOG_LEVEL": "info"})
        return LocalService("proxy", argv, where, self._log("proxy"))

    # The workspace

    def _make_workspace(self) -> None:
        self._workspace.mkdir(parents=True, exist_ok=True)
        if self._sandboxed:
            mount_tmpfs(self._workspace, self._target.workspace.size_mb)
            self._mounted = True

    def _remove_workspace(self) -> list[str]:
        try:
            if self._mounted:
                unmount(self._workspace)
                self._mounted = False
            folders = [self._workspace, self._workspace.parent / _CLOCK_FOLDER]
            for folder in (*folders, *([self._door] if self._door else [])):
                if folder.exists():
                    shutil.rmtree(folder)
        except OSError as error:
            return [f"{self._workspace}: {error}"]
        return []

    def _sweep(self) -> list[str]:
        """In the sandbox every process except our ancestors and us belongs to the stack.

        Outside it, those with the run's id in their environment do.
        """
        if self._sandboxed:
            pids = {p.pid for p in processes()}
        else:
            pids = set(marked_pids(self._run_dir.run_id))
        return self._kill(pids - set(ancestors()), _LEFTOVERS_LIMIT_S)
