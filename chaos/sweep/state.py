"""`sweep.json`: what a sweep was asked, its points, and what each break of them showed.

The file is replaced atomically after every run, so that a sweep can go on after any end::

    runs/sweep/20260203-101500-s7-1a2b/
      sweep.json           this file
      sweep.lock           locked by the process that makes the sweep
      sweep/...            a run directory for each control and each break
      junit.xml            a test case for each break
      sweep.html           the result for people
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from chaos.base.version import __version__
from chaos.plan.plan import Backend, Sandbox
from chaos.record.rundir import RunDir
from chaos.record.state_folder import StateFolder
from chaos.sweep.points import Point
from chaos.sweep.request import Break, Kind

SCHEMA = 1

Outcome = Literal["survived", "failed", "not reached", "unverified", "invalid"]
# Worst first.
OUTCOMES: tuple[Outcome, ...] = ("failed", "invalid", "unverified", "not reached", "survived")
MARKS: dict[Outcome, str] = {
    "survived": ".",
    "failed": "F",
    "not reached": "-",
    "unverified": "?",
    "invalid": "!",
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a sweep that decide what it does."""

    target: str | None
    work: tuple[str, ...]
    kinds: tuple[Kind, ...]
    errors: tuple[str, ...]
    sample: int | None  # None: all points
    chosen: tuple[int, ...]  # these points alone; () if none was named
    seed: int
    backend: Backend = "local"
    sandbox: Sandbox = "namespaces"
    gpu: bool = False


class Result(msgspec.Struct, kw_only=True):
    """What one break showed. `run`: relative to the folder of the sweep."""

    point: int
    kind: Kind
    error: str
    outcome: Outcome
    reason: str
    run: str
    lasted_s: float
    findings: list[str] = []

    @property
    def column(self) -> str:
        """'crash', 'error EIO'."""
        return f"{self.kind} {self.error}".strip()


class Sweep(msgspec.Struct, kw_only=True):
    """The content of `sweep.json`. `control_s`: how long a piece takes, by kind of work."""

    sweep_id: str
    created: str  # UTC
    chaos: str
    asked: Asked
    controls: dict[str, list[str]] = {}
    control_s: dict[str, float] = {}
    points: list[Point] = []
    differs: list[str] = []  # what only one of two controls showed
    results: list[Result] = []
    state: Literal["running", "interrupted", "stopped", "complete"] = "running"
    reason: str = ""
    schema: int = SCHEMA

    def done(self, one: Break) -> bool:
        """Whether that break has its result."""
        key = (one.point.number, one.kind, one.error)
        return any((r.point, r.kind, r.error) == key for r in self.results)


_STATE = StateFolder("sweep", Sweep)


@dataclass(frozen=True)
class SweepDir:
    """The folder of one sweep."""

    path: Path

    @property
    def state(self) -> Path:
        """What was asked, points and results (JSON)."""
        return _STATE.file(self.path)

    @property
    def junit(self) -> Path:
        """A test case for each break."""
        return self.path / "junit.xml"

    @property
    def page(self) -> Path:
        """The result for people."""
        return self.path / "sweep.html"

    def relative(self, run: RunDir) -> str:
        """The path of a run as `sweep.json` names it."""
        return str(run.path.relative_to(self.path))

    def runs(self) -> list[RunDir]:
        """The run directories in it, oldest first."""
        found = (path.parent for path in self.path.glob("*/*/config.json"))
        return [RunDir(path) for path in sorted(found) if not path.is_symlink()]

    def write(self, sweep: Sweep) -> None:
        """Replace `sweep.json`. Raises `EnvironmentProblem` if that fails."""
        _STATE.write(self.path, sweep)

    def read(self) -> Sweep:
        """The stored state. Raises `UsageError` if it is none of this version."""
        return _STATE.read(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the sweep for this process. Raises `UsageError` if another one has the lock."""
        with _STATE.locked(self.path):
            yield


def begin(asked: Asked, parent: Path) -> tuple[SweepDir, Sweep]:
    """Make the folder of a new sweep below `parent`: the folder of the runs, or of a gate.

    Raises `ChaosError` if it cannot be made.
    """
    path, created = _STATE.begin(parent, asked.seed)
    folder = SweepDir(path)
    sweep = Sweep(sweep_id=path.name, created=created, chaos=__version__, asked=asked)
    folder.write(sweep)
    return folder, sweep


def find_sweep(name: str, runs: Path) -> SweepDir:
    """A sweep by its folder, its name, or `latest`. Raises `UsageError` if there is none."""
    return SweepDir(_STATE.find(name, runs))
