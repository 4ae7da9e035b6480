"""The running stack: the handles that a run works with, whatever its programs run in.

Knows how to reach its parts, not how they were brought up (builder.py does).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.record.target import Target
from chaos.stack.base import Clock, CommandResult, Endpoint, Proxy, Service, Wire
from chaos.stack.clock import WatcherClock
from chaos.stack.proxies import WireControl
from chaos.stack.toxiproxy import ToxiproxyClient
from chaos.stack.workspace import collect, fill_words


class LiveStack:
    """The running stack. See `chaos.stack.base.Stack`."""

    def __init__(
        self,
        target: Target,
        workspace: Path,
        values: Mapping[str, Any],
        services: Mapping[str, Service],
        proxy: ToxiproxyClient,
        installed: set[str],
        *,
        run_command: Callable[[Sequence[str], float], CommandResult],
        second_watcher: Callable[[], Service],
        wire: WireControl | None,
        sandboxed: bool,
        can_mount: bool,
        daemon: bool,
        clock: WatcherClock | None = None,
    ) -> None:
        self.target = target
        self.sandboxed = sandboxed
        self.can_mount = can_mount
        self.daemon = daemon
        self.workspace = workspace
        self.proxied_llm = Endpoint.parse(target.llm.endpoint)
        self.direct_llm = Endpoint.parse(target.llm.upstream)
        self.proxy: Proxy = proxy
        self.wire: Wire | None = wire
        self.clock: Clock | None = clock
        self._run_command = run_command
        self._second_watcher = second_watcher
        self._values = values
        self._services = services
        self._installed = installed
        self._place = f"target {target.target}"

    def service(self, name: str) -> Service:
        """watcher, injector, llm, llm_supervisor, proxy, or wire if there; else `KeyError`."""
        return self._services[name]

    def second_watcher(self) -> Service:
        """Another process of the Watcher's program, not started yet; its log is its own."""
        return self._second_watcher()

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        """Run a command (placeholders allowed) in the workspace with the target's environment."""
        return self._run_command(fill_words(argv, self._values, place=self._place), limit_s)

    def collect(self, destination: Path) -> None:
        """Copy the Watcher's data files into `destination`; bounded, follows no link."""
        collect(self.workspace, destination, self._installed)
