"""A stand-in for a stack of which only the volume matters to the disk faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from msgspec.structs import replace

from chaos.record.target import Target
from chaos.runner.resolve import read_target
from chaos.stack.proctree import await_end

_HOLDER = """
import sys, time
held = open("watcher.lock", "r+b")
print("held", flush=True)
time.sleep(120)
"""


class _Holder:
    """Stands for the Watcher: works in the workspace, and holds a file open for writing."""

    def __init__(self, workspace: Path) -> None:
        (workspace / "watcher.lock").touch()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _HOLDER], cwd=workspace, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def pids(self) -> list[int]:
        """One."""
        return [self.process.pid]

    def end(self) -> None:
        """At once."""
        self.process.kill()
        await_end(self.process, 5)
        assert self.process.stdout is not None
        self.process.stdout.close()


class VolumeStack:
    """`workspace` as it is, a target that declares `size_mb`; a holder while it is entered."""

    def __init__(self, workspace: Path, *, size_mb: int, sandboxed: bool = True) -> None:
        self.workspace = workspace
        self.sandboxed = self.can_mount = sandboxed
        reference = read_target("reference")[1]
        self.target: Target = replace(
            reference, workspace=replace(reference.workspace, size_mb=size_mb)
        )
        self._holder: _Holder | None = None

    def __enter__(self) -> VolumeStack:
        (self.workspace / "logs").mkdir()
        (self.workspace / self.target.decisions.path).touch()
        self._holder = _Holder(self.workspace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._holder is not None
        self._holder.end()

    def service(self, name: str) -> _Holder:
        """`watcher`; `KeyError` for any other."""
        if name != "watcher" or self._holder is None:
            raise KeyError(name)
        return self._holder
