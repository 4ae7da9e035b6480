"""What a service does, measured from outside: its threads, and the files that it writes.

Two looks show whether it works. Knows the target's paths, and no fault.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from chaos.base.proc import Identity
from chaos.record.daemon_files import entries_of
from chaos.record.target import ServiceSpec, Target
from chaos.stack.base import Stack

_INTERVAL_SETTING = "{draw_interval_s}"


@dataclass(frozen=True)
class Look:
    """A service at one moment. `files`: name -> inode, size and modification time."""

    processes: tuple[Identity, ...]
    states: dict[int, str]  # process -> the states of its threads
    switches: int
    files: dict[str, tuple[int, int, int]]

    @property
    def stopped(self) -> bool:
        """True if there are processes, and all their threads are stopped."""
        return bool(self.states) and all(
            letters and set(letters) <= set("Tt") for letters in self.states.values()
        )

    def changed(self, later: Self) -> list[str]:
        """Names of the files that were written between this look and `later`."""
        return sorted(name for name, key in later.files.items() if self.files.get(name) != key)

    def switched(self, later: Self) -> int:
        """How often its threads were scheduled between this look and `later`."""
        return later.switches - self.switches


def spec_of(target: Target, name: str) -> ServiceSpec:
    """How the target starts and stops `name`: watcher, injector, or one of its services."""
    injector = target.injector or target.watcher
    return {"watcher": target.watcher, "injector": injector, **target.services}[name]


def look_at(stack: Stack, name: str) -> Look:
    """The service `name` as it is now."""
    found = [Identity.of(pid) for pid in stack.service(name).pids()]
    processes = tuple(process for process in found if process is not None)
    return Look(
        processes,
        {process.pid: process.states() for process in processes},
        sum(process.switches() for process in processes),
        dict(_written(stack, name)),
    )


def _written(stack: Stack, name: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    target, root = stack.target, stack.workspace
    patterns = [spec_of(target, name).ready_file]
    if name == "watcher":
        patterns += [target.decisions.path, *target.paths.logs]
    elif name == "injector":
        patterns.append(target.source("draws").path)
    paths = {path for pattern in patterns if pattern for path in root.glob(pattern)}
    for path in (*sorted(paths), stack.service(name).log):
        with contextlib.suppress(OSError):
            stat = path.stat()
            yield path.name, (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def draws(stack: Stack) -> int | None:
    """The number of draws in the history; None if it cannot be read."""
    source = stack.target.draw_log.source
    try:
        return None if source is None else len(entries_of(stack.workspace, source))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def draw_interval_s(stack: Stack) -> float | None:
    """Seconds between two draws, from the policies file in the workspace; None if not there.

    Its key is the one that the target fills from the experiment's setting.
    """
    policies = stack.target.policies
    key = next((key for key, raw in policies.values.items() if raw == _INTERVAL_SETTING), None)
    if key is None:
        return None
    try:
        value: Any = json.loads((stack.workspace / policies.path).read_bytes())
        for name in key.split("."):
            value = value[name]
        return float(value)
    except (OSError, ValueError, LookupError, TypeError):
        return None
