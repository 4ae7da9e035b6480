"""The local backend: the stack as processes, in the private sandbox or (weaker) without one.

How a stack comes up and goes down stands in builder.py; here is what its programs are started
with, and the workspace. It knows nothing of faults, soaks or checks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from chaos.base.shipped import REPO
from chaos.record.rundir import RunDir
from chaos.record.target import ServiceSpec, Target
from chaos.sandbox.enter import mount_tmpfs, unmount
from chaos.sandbox.guardian import RUN_ID_VARIABLE, marked_pids
from chaos.stack.base import CommandResult, Endpoint, Service
from chaos.stack.builder import LLM_STOP_LIMIT_S, StackBuilder
from chaos.stack.clock import WatcherClock, compiler
from chaos.stack.process import LocalService, Surroundings, run_command
from chaos.stack.proctree import ancestors, await_gone, command_line, processes, send
from chaos.stack.proxies import proxy_argv, wire_argv
from chaos.stack.workspace import fill, fill_words

# In the sandbox /tmp is private, so the path may be the same for every run.
_SANDBOX_WORKSPACE = Path("/tmp/chaos/workspace")
_CLOCK_FOLDER = "watcher_clock"  # beside the workspace
_LEFTOVERS_LIMIT_S = 1.0


class StackAssets(Protocol):
    """What a stack needs besides Python packages."""

    @property
    def model(self) -> Path:
        """The GGUF file."""

    @property
    def toxiproxy(self) -> Path | None:
        """The Toxiproxy server binary; None: the built-in proxy of last resort."""


class LocalBackend(StackBuilder):
    """See the modules. `sandboxed`: this process is inside the namespaces that `enter` prepared."""

    name = "local"
    shares_mounts = True

    def __init__(
        self,
        target: Target,
        settings: Mapping[str, Any],
        run: RunDir,
        assets: StackAssets,
        images: Path,
        *,
        sandboxed: bool,
        cancel: threading.Event | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> None:
        workspace = _SANDBOX_WORKSPACE if sandboxed else run.path / "workspace"
        values = {
            **settings,
            "python": sys.executable,
            "workspace": str(workspace),
            "programs": str(images),
        }
        super().__init__(
            target,
            values,
            run,
            images,
            workspace,
            sandboxed=sandboxed,
            cancel=cancel,
            needs=needs,
        )
        self._assets = assets
        self._where = Surroundings(workspace, self._product_environment())
        self._aside = Surroundings(run.path, self._environment())  # for what is not the product
        # For our own modules, which must be importable wherever the run was started from.
        ours = {**self._environment(), "PYTHONPATH": str(REPO)}
        self._ours = Surroundings(run.path, ours)
        self._mounted = False

    # What is started, and how

    def _environment(self) -> dict[str, str]:
        """What every program gets: our own environment without our Python set-up, and the mark."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return {**inherited, RUN_ID_VARIABLE: self._run_dir.run_id, "PYTHONUNBUFFERED": "1"}

    def _product_environment(self) -> dict[str, str]:
        place = f"target {self._target.target}, env"
        own = fill(self._target.env, self._values, place=place)
        return {**self._environment(), **{key: str(value) for key, value in own.items()}}

    def _watcher_clock(self) -> WatcherClock | None:
        """Where a fault needs it and it can be built; the fault says so where it cannot."""
        if not self._needs_clock or compiler() is None:
            return None
        return WatcherClock.build(self._workspace.parent / _CLOCK_FOLDER)

    def _program(self, name: str, spec: ServiceSpec, clock: WatcherClock | None) -> Service:
        where = self._where
        if clock is not None:
            where = Surroundings(where.cwd, clock.environment(where.env))
        return LocalService(
            name,
            fill_words(spec.start, self._values, place=f"target {self._target.target}, {name}"),
            where,
            self._log(name),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
            ready_file=self._workspace / spec.ready_file if spec.ready_file else None,
            ready_limit_s=spec.ready_limit_s,
            cancel=self._cancel,
        )

    def _second_watcher(self, watcher: Service) -> Service:
        spec = self._target.watcher
        return LocalService(
            "watcher_second",
            fill_words(spec.start, self._values, place=f"target {self._target.target}, watcher"),
            self._where,
            watcher.log.with_name("watcher_second.log"),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
        )

    def _run_command(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        return run_command(argv, self._where, limit_s)

    def _supervisor(self) -> Service:
        llm = self._target.llm
        upstream = Endpoint.parse(llm.upstream)
        argv = [
            sys.executable,
            str(self._images / "llm" / "supervisor.py"),
            *("--control", llm.control),
            *("--model", str(self._assets.model)),
            *("--host", upstream.host),
            *("--port", str(upstream.port)),
            *("--events", str(self._workspace / llm.events)),
            *("--log", str(self._log("llm"))),
            *("--stop-limit-s", str(LLM_STOP_LIMIT_S)),
            "--autostart",
        ]
        return LocalService("llm_supervisor", argv, self._aside, self._log("llm_supervisor"))

    def _proxy_service(self) -> Service:
        argv = proxy_argv(self._assets.toxiproxy, Endpoint.parse(self._target.llm.proxy_api))
        where = Surroundings(self._run_dir.path, {**self._ours.env, "LOG_LEVEL": "info"})
        return LocalService("proxy", argv, where, self._log("proxy"))

    def _wire_service(self, listen: Endpoint, control: Endpoint) -> Service:
        argv = wire_argv(listen, Endpoint.parse(self._target.llm.upstream), control)
        return LocalService("wire", argv, self._ours, self._log("wire"))

    # The place it lives in

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
            for folder in (self._workspace, self._workspace.parent / _CLOCK_FOLDER):
                if folder.exists():
                    shutil.rmtree(folder)
        except OSError as error:
            return [f"{self._workspace}: {error}"]
        return []

    def _sweep(self) -> list[str]:
        """Kill what the services left behind; returns what is there even so.

        In the sandbox everything but ourselves and what is above us belongs to the stack;
        outside it, what carries the run's mark.
        """
        if self._sandboxed:
            found = {p.pid for p in processes()}
        else:
            found = set(marked_pids(self._run_dir.run_id))
        pids = sorted(found - set(ancestors()))
        self.swept = [f"pid {pid}: {command_line(pid)}" for pid in pids]
        send(pids, signal.SIGKILL)
        return [
            f"process {pid}: {command_line(pid)}" for pid in await_gone(pids, _LEFTOVERS_LIMIT_S)
        ]
