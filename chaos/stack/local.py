"""The local backend: the stack as processes, in the private sandbox or (weaker) without one.

    Watcher -> Toxiproxy -> (wire proxy ->) llama.cpp server, below its supervisor; the injector
    beside them. The wire proxy is there only for faults that need it.

`up` starts everything that does not need each other at the same time and returns when each part
has proven that it works; `down` stops everything in reverse and proves that nothing is left.
It knows nothing of faults, soaks or checks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from chaos.deadline import Deadline
from chaos.errors import EnvironmentProblem
from chaos.rundir import RunDir
from chaos.sandbox.enter import mount_tmpfs, unmount
from chaos.sandbox.guardian import RUN_ID_VARIABLE, marked_pids
from chaos.stack.base import Endpoint, Service, Stack
from chaos.stack.clock import WatcherClock, compiler
from chaos.stack.live import LocalStack
from chaos.stack.llm_probe import completes, healthy
from chaos.stack.llm_service import LLMService
from chaos.stack.ports import require_free
from chaos.stack.process import LocalService, Surroundings, run_command, tail
from chaos.stack.proctree import ancestors, await_gone, command_line, processes, send
from chaos.stack.toxiproxy import ProxyProblem, ToxiproxyClient
from chaos.stack.wire import WireControl, WireProblem, proxy_argv, wire_argv
from chaos.stack.workspace import fill, fill_words, install, merge_policies
from chaos.stopping import RunStopped
from chaos.target import ServiceSpec, Target

# In the sandbox /tmp is private, so the path may be the same for every run.
_SANDBOX_WORKSPACE = Path("/tmp/chaos/workspace")
_CLOCK_FOLDER = "watcher_clock"  # beside the workspace
_PROXY_START_LIMIT_S = 10.0
_HEALTH_LIMIT_S = 2.0
_COMPLETION_LIMIT_S = 10.0
_LOOK_S = 0.01

# What each service may take to end when the stack is taken down (the Watcher's own halt has been
# tried and timed before): 7.5 s in all, then SIGKILL.
_DOWN_LIMIT_S = {
    "injector": 1.0,
    "watcher": 2.5,
    "proxy": 1.0,
    "wire": 1.0,
    "llm_supervisor": 2.0,
}
_LLM_STOP_LIMIT_S = 1.5
_LEFTOVERS_LIMIT_S = 1.0


class StackAssets(Protocol):
    """What a stack needs besides Python packages."""

    @property
    def model(self) -> Path:
        """The GGUF file."""

    @property
    def toxiproxy(self) -> Path | None:
        """The Toxiproxy server binary; None: the built-in proxy of last resort."""


class LocalBackend:
    """See the module and `chaos.stack.base.Backend`. Use from one thread.

    `sandboxed`: this process is inside the namespaces that `enter` prepared. `cancel`, once set,
    ends `up` early with `RunStopped`. `needs`: parts that only some faults need (`wire`, `clock`).
    """

    name = "local"

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
        self._target = target
        self._needs_wire = "wire" in needs
        self._needs_clock = "clock" in needs
        self._run = run
        self._assets = assets
        self._images = images
        self._sandboxed = sandboxed
        self._cancel = cancel or threading.Event()
        self._workspace = _SANDBOX_WORKSPACE if sandboxed else run.path / "workspace"
        self._values = {
            **settings,
            "python": sys.executable,
            "workspace": str(self._workspace),
            "programs": str(images),
        }
        self._where = Surroundings(self._workspace, self._product_environment())
        self._aside = Surroundings(run.path, self._environment())  # for what is not the product
        # For our own modules, which must be importable wherever the run was started from.
        ours = {**self._environment(), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        self._ours = Surroundings(run.path, ours)
        self._mounted = False
        self._started: list[LocalService] = []
        self.swept: list[str] = []  # what `down` found beside the services, and killed

    def up(
        self,
        on_step: Callable[[str], None],
        *,
        before_watcher: Callable[[Stack], None] | None = None,
        daemon: bool = True,
    ) -> Stack:
        """Bring everything up; see the Protocol."""
        try:
            stack = self._up_to_watcher(on_step, daemon=daemon)
            if before_watcher is not None:
                before_watcher(stack)
            if daemon:
                on_step("Watcher: starting")
                stack.service("watcher").start()
            return stack
        except BaseException:  # an interrupt too: nothing half-built is left, and it goes on up
            self.down()
            raise

    def _up_to_watcher(self, on_step: Callable[[str], None], *, daemon: bool) -> Stack:
        llm = self._target.llm
        on_step("workspace: installing the programs")
        self._make_workspace()
        installed = install(self._target, self._images, self._workspace)
        merge_policies(self._target, self._workspace, self._values)
        endpoints = [llm.endpoint, llm.upstream, llm.control, llm.proxy_api]
        endpoints += self._wire_endpoints()
        require_free(Endpoint.parse(text) for text in endpoints)
        on_step("LLM server and proxy: starting")
        supervisor = self._start(self._supervisor())
        proxy_service = self._start(self._proxy_service())
        wire_service = self._start(self._wire_service()) if self._needs_wire else None
        client = ToxiproxyClient(Endpoint.parse(llm.proxy_api))
        self._prepare(on_step)  # while the model loads
        self._await_answer(client.version, "the proxy", proxy_service)
        wire = None
        if wire_service is not None:
            wire = WireControl(Endpoint.parse(llm.wire_control))
            self._await_answer(wire.stats, "the wire proxy", wire_service)
        behind = llm.upstream if wire is None else llm.wire
        client.create(Endpoint.parse(llm.endpoint), Endpoint.parse(behind))
        on_step("LLM server: waiting for health and a completion, direct and through the proxy")
        llm_service = LLMService(supervisor, Endpoint.parse(llm.control), self._log("llm"))
        self._await_llm(llm_service)
        clock = self._watcher_clock()
        watcher = self._program(
            "watcher", self._target.watcher if daemon else self._batch(), clock=clock
        )
        injector = self._program("injector", self._target.injector)
        self._started += [watcher, injector]  # started later; `down` stops them
        services: dict[str, Service] = {
            "watcher": watcher,
            "injector": injector,
            "llm": llm_service,
            "llm_supervisor": supervisor,
            "proxy": proxy_service,
        }
        if wire_service is not None:
            services["wire"] = wire_service
        return LocalStack(
            self._target,
            self._workspace,
            self._where,
            self._values,
            services,
            client,
            installed,
            wire=wire,
            sandboxed=self._sandboxed,
            daemon=daemon,
            clock=clock,
        )

    def down(self) -> list[str]:
        """Stop everything, remove the workspace; returns what could not be removed."""
        started = list(reversed(self._started))
        for service in started:
            service.resume()  # a fault may have paused it, and its children
        for service in started:
            service.stop(_DOWN_LIMIT_S[service.name])
        self._started.clear()
        left = self._sweep()
        return left + self._remove_workspace()

    # What is started, and how

    def _environment(self) -> dict[str, str]:
        """What every program gets: our own environment without our Python set-up, and the mark."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return {**inherited, RUN_ID_VARIABLE: self._run.run_id, "PYTHONUNBUFFERED": "1"}

    def _product_environment(self) -> dict[str, str]:
        place = f"target {self._target.target}, env"
        own = fill(self._target.env, self._values, place=place)
        return {**self._environment(), **{key: str(value) for key, value in own.items()}}

    def _log(self, name: str) -> Path:
        return self._run.logs / f"{name}.log"

    def _start(self, service: LocalService) -> LocalService:
        self._started.append(service)
        service.start()
        return service

    def _watcher_clock(self) -> WatcherClock | None:
        """Where a fault needs it and it can be built; the fault says so where it cannot."""
        if not self._needs_clock or compiler() is None:
            return None
        return WatcherClock.build(self._workspace.parent / _CLOCK_FOLDER)

    def _program(
        self, name: str, spec: ServiceSpec, *, clock: WatcherClock | None = None
    ) -> LocalService:
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

    def _batch(self) -> ServiceSpec:
        if self._target.batch is None:
            raise EnvironmentProblem(
                "the target has no batch command",
                place=f"target {self._target.target}, batch",
                next_step="add it, or choose a profile with the daemon",
            )
        watcher = self._target.watcher
        return ServiceSpec(
            start=self._target.batch.command,
            stop_signal=watcher.stop_signal,
            stop_limit_s=watcher.stop_limit_s,
        )

    def _supervisor(self) -> LocalService:
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
            *("--stop-limit-s", str(_LLM_STOP_LIMIT_S)),
            "--autostart",
        ]
        return LocalService("llm_supervisor", argv, self._aside, self._log("llm_supervisor"))

    def _proxy_service(self) -> LocalService:
        argv = proxy_argv(self._assets.toxiproxy, Endpoint.parse(self._target.llm.proxy_api))
        where = Surroundings(self._run.path, {**self._ours.env, "LOG_LEVEL": "info"})
        return LocalService("proxy", argv, where, self._log("proxy"))

    def _wire_endpoints(self) -> list[str]:
        """Where the wire proxy listens, and its control; empty when no fault needs it."""
        llm = self._target.llm
        if not self._needs_wire:
            return []
        if not (llm.wire and llm.wire_control):
            raise EnvironmentProblem(
                "a fault of this run needs the wire proxy, and the target has no place for it",
                place=f"target {self._target.target}, llm.wire and llm.wire_control",
                next_step="add both addresses (host:port), or leave the llm_wire faults out",
            )
        return [llm.wire, llm.wire_control]

    def _wire_service(self) -> LocalService:
        listen, control = (Endpoint.parse(text) for text in self._wire_endpoints())
        argv = wire_argv(listen, Endpoint.parse(self._target.llm.upstream), control)
        return LocalService("wire", argv, self._ours, self._log("wire"))

    # Evidence that it works

    def _prepare(self, on_step: Callable[[str], None]) -> None:
        spec = self._target.workspace
        deadline = Deadline(spec.prepare_limit_s, self._cancel)
        for words in spec.prepare:
            argv = fill_words(words, self._values, place=f"target {self._target.target}, prepare")
            on_step(f"prepare: {' '.join(argv[1:]) or argv[0]}")
            done = run_command(argv, self._where, deadline.left_s())
            if self._cancel.is_set():
                raise RunStopped("stopped while the workspace was prepared")
            if done.exit_code != 0:
                how = f"exit code {done.exit_code}"
                if done.exit_code is None:
                    how = f"not done within {spec.prepare_limit_s:g} s"
                raise EnvironmentProblem(
                    f"preparing the workspace failed ({how}): {' '.join(argv)}\n{done.output}",
                    place=f"target {self._target.target}, workspace.prepare",
                    next_step="run the command by hand in a copy of the programs",
                )

    def _await_answer(self, ask: Callable[[], object], what: str, service: LocalService) -> None:
        deadline = Deadline(_PROXY_START_LIMIT_S, self._cancel)
        while True:
            try:
                ask()
                return
            except (ProxyProblem, WireProblem):
                self._keep_waiting(deadline, what, service.log, not service.alive())

    def _await_llm(self, llm: LLMService) -> None:
        """Direct first: through the proxy it can only answer when it does so directly."""
        deadline = Deadline(self._target.llm.start_limit_s, self._cancel)
        for text in (self._target.llm.upstream, self._target.llm.endpoint):
            endpoint = Endpoint.parse(text)
            while not (
                healthy(endpoint, _HEALTH_LIMIT_S) and completes(endpoint, _COMPLETION_LIMIT_S)
            ):
                what = f"the LLM server at {endpoint}"
                self._keep_waiting(deadline, what, llm.log, llm.died())

    def _keep_waiting(self, deadline: Deadline, what: str, log: Path, dead: bool) -> None:
        """One look's pause; raises when waiting longer makes no sense."""
        goes_on = deadline.wait(_LOOK_S)
        if self._cancel.is_set():
            raise RunStopped(f"stopped while waiting for {what}")
        if goes_on and not dead:
            return
        why = "ended" if dead else f"was not ready within {deadline.limit_s:g} s"
        said = tail(log)
        raise EnvironmentProblem(
            f"{what} {why}" + (f":\n{said}" if said else ""),
            place=str(log),
            next_step="read the log; `chaos setup --verify` checks the model and the proxy",
        )

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
            found = set(marked_pids(self._run.run_id))
        pids = sorted(found - set(ancestors()))
        self.swept = [f"pid {pid}: {command_line(pid)}" for pid in pids]
        send(pids, signal.SIGKILL)
        return [
            f"process {pid}: {command_line(pid)}" for pid in await_gone(pids, _LEFTOVERS_LIMIT_S)
        ]
