"""What a service does, seen from outside: its threads, and the files that it keeps writing.

Two looks tell progress from standstill. Knows the target's paths, and nothing of faults.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from chaos.base.proc import Identity
from chaos.stack.base import Stack

Name = Literal["watcher", "injector"]
_INTERVAL_SETTING = "{draw_interval_s}"


@dataclass(frozen=True)
class Look:
    """A service at one moment. `files`: name -> what changes when it is written."""

    processes: tuple[Identity, ...]
    states: dict[int, str]  # process -> the states of its threads
    switches: int
    files: dict[str, tuple[int, int, int]]

    @property
    def stopped(self) -> bool:
        """True if there are processes, and each thread of each of them is stopped."""
        return bool(self.states) and all(
            letters and set(letters) <= set("Tt") for letters in self.states.values()
        )

    def changed(self, later: Self) -> list[str]:
        """Names of files that were written, made or replaced from here to `later`."""
        return sorted(name for name, key in later.files.items() if self.files.get(name) != key)

    def switched(self, later: Self) -> int:
        """How often its threads were scheduled from here to `later`."""
        return later.switches - self.switches


def look_at(stack: Stack, name: Name) -> Look:
    """`name` as it is now."""
    found = [Identity.of(pid) for pid in stack.service(name).pids()]
    processes = tuple(one for one in found if one is not None)
    return Look(
        processes,
        {one.pid: one.states() for one in processes},
        sum(one.switches() for one in processes),
        dict(_written(stack, name)),
    )


def _written(stack: Stack, name: Name) -> Iterator[tuple[str, tuple[int, int, int]]]:
    target, root = stack.target, stack.workspace
    if name == "watcher":
        patterns = [target.watcher.ready_file, target.decisions.path, *target.paths.logs]
    else:
        patterns = [target.injector.ready_file, target.draws.path]
    paths = {path for pattern in patterns if pattern for path in root.glob(pattern)}
    for path in (*sorted(paths), stack.service(name).log):
        key = _key(path)
        if key is not None:
            yield path.name, key


def _key(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def draws(stack: Stack) -> int | None:
    """Draws in the history; None while it cannot be read."""
    try:
        loaded = json.loads((stack.workspace / stack.target.draws.path).read_bytes())
        return len(loaded[stack.target.draws.list])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def draw_interval_s(stack: Stack) -> float | None:
    """Seconds between two draws, by the policies file in the workspace; None: it does not say.

    Its key is the one that the target fills from the setting of the experiment.
    """
    policies = stack.target.policies
    key = next((key for key, raw in policies.values.items() if raw == _INTERVAL_SETTING), None)
    if key is None:
        return None
    try:
        found: Any = json.loads((stack.workspace / policies.path).read_bytes())
        for name in key.split("."):
            found = found[name]
        return float(found)
    except (OSError, ValueError, LookupError, TypeError):
        return None
