"""Start and stop a stack: the part that is the same for every backend.

    Watcher -> Toxiproxy -> (wire proxy ->) llama.cpp server, below its supervisor; the injector
    beside them. The wire proxy is there only for faults that need it.

`up` starts independent parts at the same time, and returns when each part has shown that it works.
`down` stops everything in reverse order, and verifies that nothing is left. A backend defines how a
program is run and where the workspace comes from. Knows nothing of faults, soaks or checks.
"""

import shlex
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.proc import command_line
from chaos.base.stopping import RunStopped
from chaos.record.owner import RUN_ID_VARIABLE
from chaos.record.rundir import RunDir
from chaos.record.target import ServiceSpec, Target
from chaos.sandbox.enter import hidden_by_sandbox
from chaos.stack.base import CallRules, CommandResult, Endpoint, Service, Stack
from chaos.stack.clock import WatcherClock
from chaos.stack.live import LiveStack
from chaos.stack.llm_service import AdoptedLLM, ExternalLLM, LLMService
from chaos.stack.ports import require_free
from chaos.stack.process import LocalService, NoProgram, Surroundings, not_ready
from chaos.stack.proctree import await_gone, send
from chaos.stack.proxies import WireControl, wire_argv
from chaos.stack.readiness import Readiness
from chaos.stack.toxiproxy import ToxiproxyClient, create_links
from chaos.stack.witness import NOT_WATCHED
from chaos.stack.workspace import (
    fill_words,
    filling,
    install,
    is_full_text,
    merge_policies,
    placeholder_values,
    product_environment,
    too_small,
)

_LOOK_S = 0.01
_START_S = 2.0  # in which a Watcher with a wrong command ends

# Time limits to end when the stack is stopped, then SIGKILL. The Watcher's own halt was timed
# before. The services of the target and the injector get their `stop_limit_s`, but at most 5 s
# each. Once 15 s have passed, those that are left get 1 s each.
_PROGRAM_DOWN_LIMIT_S, _PROGRAMS_DOWN_LIMIT_S, _LATE_DOWN_LIMIT_S = 5.0, 15.0, 1.0
_DOWN_LIMIT_S = {
    "watcher": 2.5,
    "proxy": 1.0,
    "wire": 1.0,
    "llm_supervisor": 2.0,
    "llm_relay": 1.0,
    "wire_witness": 1.0,
    "witness": 1.0,  # the last one to be stopped: it sees the others end
}
LLM_STOP_LIMIT_S = 1.5  # for the LLM server, within the supervisor's two seconds above


class StackBuilder(ABC):
    """A `chaos.stack.base.Backend`. Not thread-safe.

    `settings`: of the profile, for the target's placeholders. `images`: the folder of the programs
    that the target installs. `python`: the interpreter of the Watcher's programs. `python_path`:
    PYTHONPATH of the programs of `chaos`. `inherited`: the environment of every program. `cancel`,
    once set, ends `up` early with `RunStopped`. `needs`: parts that only some faults need (`wire`,
    `clock`). `sandboxed`: nothing done to the stack reaches the host.
    """

    name: str
    shares_mounts = False  # True: the harness is in the Watcher's mount namespace

    def __init__(
        self,
        target: Target,
        settings: Mapping[str, Any],
        run: RunDir,
        images: Path,
        *,
        python: str,
        workspace: Path,
        python_path: str,
        inherited: Mapping[str, str],
        sandboxed: bool,
        cancel: threading.Event | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> None:
        self._target = target
        self._needs = needs
        self._run_dir = run
        self._images = images
        self._sandboxed = sandboxed
        self._cancel = cancel or threading.Event()
        self._ready = Readiness(target.llm, self._cancel)
        self._workspace = workspace
        self._values = placeholder_values(
            settings, python=python, workspace=workspace, programs=images
        )
        # The run's id marks every process of the run.
        marked = {**inherited, RUN_ID_VARIABLE: run.run_id, "PYTHONUNBUFFERED": "1"}
        own = product_environment(target, self._values)
        self._for_watcher = Surroundings(workspace, {**marked, **own})
        self._for_tools = Surroundings(run.path, marked)
        self._for_chaos = Surroundings(run.path, {**marked, "PYTHONPATH": python_path})
        self._started: list[Service] = []
        self.not_witnessed: dict[str, str] = {}
        self._calls: CallRules | None = None  # set with the witness
        self.swept: list[str] = []  # processes that `down` killed beside the services

    # The hooks of a backend

    @abstractmethod
    def _make_workspace(self) -> None:
        """Make the Watcher's working directory, empty."""

    @abstractmethod
    def _remove_workspace(self) -> list[str]:
        """Remove it; returns what could not be removed."""

    @abstractmethod
    def _sweep(self) -> list[str]:
        """Kill what the services left behind; returns what is left nevertheless."""

    @abstractmethod
    def _supervisor(self) -> Service:
        """The LLM server's supervisor."""

    @abstractmethod
    def _relay(self) -> Service:
        """What listens on `llm.upstream` for a server that is not of the run."""

    @abstractmethod
    def _proxy_service(self) -> Service:
        """The TCP proxy."""

    @abstractmethod
    def _program(self, name: str, spec: ServiceSpec, clock: WatcherClock | None) -> Service:
        """The Watcher or the injector."""

    @abstractmethod
    def _second_watcher(self, watcher: Service) -> Service:
        """A second Watcher beside `watcher`, in the same workspace; not started yet."""

    @abstractmethod
    def _run_command(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        """Run `argv`, whose placeholders are filled in, where the Watcher runs, to its end."""

    @abstractmethod
    def _watcher_clock(self) -> WatcherClock | None:
        """The clock, if a fault needs it and it can be built. If not, the fault is unavailable."""

    def _start_witnesses(self) -> dict[str, Service]:
        """Start the witnesses that this backend has; by name."""
        return {}

    def up(
        self,
        on_step: Callable[[str], None],
        *,
        before_watcher: Callable[[Stack], None] | None = None,
        daemon: bool = True,
    ) -> Stack:
        try:
            stack = self._up_to_watcher(on_step, daemon=daemon)
            if before_watcher is not None:
                before_watcher(stack)
            if daemon:
                self._start_daemon(stack, on_step)
            return stack
        except BaseException:  # also an interrupt: leave nothing half-built behind
            self.down()
            raise

    def _start_daemon(self, stack: Stack, on_step: Callable[[str], None]) -> None:
        on_step("Watcher: starting")
        self._start_program(stack.service("watcher"))
        for name in self._target.services:
            on_step(f"{name}: starting")
            self._start_program(stack.service(name))
        llm = stack.service("llm")
        if isinstance(llm, AdoptedLLM):
            on_step(f"LLM server: waiting for the daemon's, at {self._target.llm.upstream}")
            self._ready.adopted_llm(llm, stack.service("watcher"))

    def _up_to_watcher(self, on_step: Callable[[str], None], *, daemon: bool) -> Stack:
        llm = self._target.llm
        on_step("workspace: installing the programs")
        self._make_workspace()
        with filling(self._target, own_volume=self._sandboxed):
            installed = install(self._target, self._images, self._workspace)
            merge_policies(self._target, self._workspace, self._values)
        endpoints = [llm.endpoint, llm.upstream, llm.control, llm.proxy_api]
        endpoints += [link.endpoint for link in self._target.links.values()]
        require_free(Endpoint.parse(text) for text in endpoints + self._wire_endpoints())
        witnesses = self._start_witnesses()
        on_step("proxy: starting" if llm.adopted else "LLM server and proxy: starting")
        keeper = self._start(self._relay() if llm.external else self._supervisor())
        proxy_service = self._start(self._proxy_service())
        wire_service = self._start_wire()
        client = ToxiproxyClient(Endpoint.parse(llm.proxy_api))
        self._prepare(on_step)  # the model loads meanwhile
        self._ready.proxy(client.version, "the proxy", proxy_service)
        wire = None
        if wire_service is not None:
            wire = WireControl(Endpoint.parse(llm.wire_control))
            self._ready.proxy(wire.stats, "the wire proxy", wire_service)
        proxied = llm.upstream if wire is None else llm.wire
        client.create(Endpoint.parse(llm.endpoint), Endpoint.parse(proxied))
        llm_service = self._llm_service(keeper, on_step)
        clock = self._watcher_clock()
        spec = self._target.watcher if daemon else self._batch()
        watcher = self._program("watcher", spec, clock)
        programs = self._target.programs.items()
        others = {name: self._program(name, spec, None) for name, spec in programs}
        self._started += [watcher, *others.values()]  # started later; `down` stops them
        services: dict[str, Service] = {
            "watcher": watcher,
            **others,
            "llm": llm_service,
            keeper.name: keeper,
            "proxy": proxy_service,
        }
        services |= {**({} if wire_service is None else {"wire": wire_service}), **witnesses}
        return LiveStack(
            self._target,
            self._workspace,
            self._values,
            services,
            client,
            installed,
            run_command=self._run_command,
            new_second_watcher=lambda: self._second_watcher(watcher),
            wire=wire,
            sandboxed=self._sandboxed,
            can_mount=self._sandboxed and self.shares_mounts,
            daemon=daemon,
            clock=clock,
            calls=self._calls,
            links=create_links(self._target),
            not_witnessed=self.not_witnessed,
        )

    def _llm_service(self, keeper: Service, on_step: Callable[[str], None]) -> Service:
        """The LLM server, ready unless the daemon is still to start it.

        `keeper`: its supervisor, or the relay to it.
        """
        llm = self._target.llm
        control = Endpoint.parse(llm.control)
        if llm.adopted:
            return AdoptedLLM(keeper, control, keeper.log)
        on_step("LLM server: waiting for health and a completion, direct and through the proxy")
        if llm.external:
            self._ready.external_llm(keeper)
            return ExternalLLM(llm.external, keeper.log)
        service = LLMService(keeper, control, self._llm_log())
        self._ready.llm(service)
        return service

    def down(self) -> list[str]:
        started = list(reversed(self._started))
        for service in started:
            service.resume()  # a fault may have paused it and its children
        deadline = Deadline(_PROGRAMS_DOWN_LIMIT_S)
        for service in started:
            service.stop(self._down_limit_s(service.name, deadline))
        self._started.clear()
        left = self._sweep()
        return left + self._remove_workspace()

    def _down_limit_s(self, name: str, deadline: Deadline) -> float:
        spec = self._target.programs.get(name)
        if spec is None:
            return _DOWN_LIMIT_S[name]
        left_s = max(deadline.left_s(), _LATE_DOWN_LIMIT_S)
        return min(spec.stop_limit_s, _PROGRAM_DOWN_LIMIT_S, left_s)

    # The services

    def _log(self, name: str) -> Path:
        return self._run_dir.logs / f"{name}.log"

    def _llm_log(self) -> Path:
        """The log of the LLM server itself."""
        return self._log("llm")

    def _start(self, service: Service) -> Service:
        self._started.append(service)
        service.start()
        return service

    def _start_program(self, service: Service) -> None:
        """The first start. Raises `UsageError` if the command ends before the program is ready.

        Without a ready file it counts as ready once it has lived for a moment.
        """
        spec = self._target.services.get(service.name, self._target.watcher)
        key = "watcher" if spec is self._target.watcher else f"services.{service.name}"
        place = f"target {self._target.target}, {key}.start"
        try:
            service.start()
            if not spec.ready_file:
                self._await_life(service)
        except NoProgram as error:
            awaited = f", which was to write {spec.ready_file}" if spec.ready_file else ""
            raise UsageError(
                error.message + awaited, place=place, next_step=error.next_step
            ) from error
        except EnvironmentProblem as error:
            code = service.exit_code()
            if service.alive() or code is None or code < 0 or code == NOT_WATCHED:
                raise
            argv = fill_words(spec.start, self._values, place=place)
            step = hidden_by_sandbox(argv) or f"correct it; by hand: {shlex.join(argv)}"
            raise UsageError(error.message, place=place, next_step=step) from error

    def _await_life(self, service: Service) -> None:
        deadline = Deadline(_START_S, self._cancel)
        while deadline.wait(_LOOK_S):
            if not service.alive():
                what = f"{service.name} ended with exit code {service.exit_code()} at its start"
                raise not_ready(what, service.log, "the target names no ready file")

    def _start_wire(self) -> Service | None:
        endpoints = [Endpoint.parse(text) for text in self._wire_endpoints()]
        if not endpoints:
            return None
        listen, control = endpoints
        argv = wire_argv(listen, Endpoint.parse(self._target.llm.upstream), control)
        return self._start(LocalService("wire", argv, self._for_chaos, self._log("wire")))

    def _local(self, name: str, spec: ServiceSpec, where: Surroundings) -> LocalService:
        """A program of the target as a child process."""
        return LocalService(
            name,
            fill_words(spec.start, self._values, place=f"target {self._target.target}, {name}"),
            where,
            self._log(name),
            stop_signal=signal.Signals[f"SIG{spec.stop_signal}"],
            ready_file=self._workspace / spec.ready_file if spec.ready_file else None,
            ready_url=spec.ready_url,
            ready_limit_s=spec.ready_limit_s,
            cancel=self._cancel,
        )

    def _kill(self, pids: Iterable[int], limit_s: float) -> list[str]:
        """Kill processes that the services left behind; returns those that still exist."""
        left_behind = sorted(pids)
        self.swept = [f"pid {pid}: {command_line(pid)}" for pid in left_behind]
        send(left_behind, signal.SIGKILL)
        return [f"process {pid}: {command_line(pid)}" for pid in await_gone(left_behind, limit_s)]

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

    def _wire_endpoints(self) -> list[str]:
        """Addresses of the wire proxy and of its control API; empty if no fault needs it."""
        llm = self._target.llm
        if "wire" not in self._needs:
            return []
        if not (llm.wire and llm.wire_control):
            raise EnvironmentProblem(
                "a fault of this run needs the wire proxy, and the target has no address for it",
                place=f"target {self._target.target}, llm.wire and llm.wire_control",
                next_step="add both addresses (host:port), or leave the llm_wire faults out",
            )
        return [llm.wire, llm.wire_control]

    # Evidence that the services work

    def _prepare(self, on_step: Callable[[str], None]) -> None:
        spec = self._target.workspace
        deadline = Deadline(spec.prepare_limit_s, self._cancel)
        for words in spec.prepare:
            argv = fill_words(words, self._values, place=f"target {self._target.target}, prepare")
            on_step(f"prepare: {' '.join(argv[1:]) or argv[0]}")
            done = self._run_command(argv, deadline.left_s())
            if self._cancel.is_set():
                raise RunStopped("stopped while the workspace was prepared")
            if done.exit_code != 0 and self._sandboxed and is_full_text(done.output):
                raise too_small(self._target)
            if done.exit_code != 0:
                how = f"exit code {done.exit_code}"
                if done.exit_code is None:
                    how = f"not done within {spec.prepare_limit_s:g} s"
                raise EnvironmentProblem(
                    f"preparing the workspace failed ({how}): {' '.join(argv)}\n{done.output}",
                    place=f"target {self._target.target}, workspace.prepare",
                    next_step="run the command by hand in a copy of the programs",
                )
