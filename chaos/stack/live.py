"""The running stack: the handles that a run uses, the same for every backend.

Knows how to reach the parts of the stack. How they are started is in builder.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.record.target import Target
from chaos.stack.base import CallRules, Clock, CommandResult, Endpoint, Link, Proxy, Service, Wire
from chaos.stack.workspace import collect, fill_words


@dataclass
class LiveStack:
    """A `chaos.stack.base.Stack`. `values`: of the target's placeholders."""

    target: Target
    workspace: Path
    values: Mapping[str, Any]
    services: Mapping[str, Service]
    proxy: Proxy
    installed: set[str]
    run_command: Callable[[Sequence[str], float], CommandResult]
    new_second_watcher: Callable[[], Service]
    wire: Wire | None
    sandboxed: bool
    can_mount: bool
    daemon: bool
    clock: Clock | None = None
    calls: CallRules | None = None
    links: Mapping[str, Link] = field(default_factory=dict)
    not_witnessed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.proxied_llm = Endpoint.parse(self.target.llm.endpoint)
        self.direct_llm = Endpoint.parse(self.target.llm.upstream)

    def service(self, name: str) -> Service:
        return self.services[name]

    def second_watcher(self) -> Service:
        return self.new_second_watcher()

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        place = f"target {self.target.target}"
        return self.run_command(fill_words(argv, self.values, place=place), limit_s)

    def collect(self, destination: Path) -> None:
        collect(self.workspace, destination, self.installed)
