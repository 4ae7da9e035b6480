"""`sweep.json`: what a sweep was asked, its points, and what each break of them showed.

The file is replaced atomically after every run, so that a sweep can go on after any end::

    runs/sweep/20260203-101500-s7-1a2b/
      sweep.json           this file
      sweep/...            a run directory for each control and each break
      junit.xml            a test case for each break
"""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.version import __version__
from chaos.plan.plan import Backend
from chaos.record.history import UNREADABLE
from chaos.record.rundir import RunDir, is_file, write_atomic
from chaos.sweep.points import Point
from chaos.sweep.request import Break, Kind

SCHEMA = 1
FOLDER = "sweep"
FILE = "sweep.json"

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


@dataclass(frozen=True)
class SweepDir:
    """The folder of one sweep."""

    path: Path

    @property
    def state(self) -> Path:
        """What was asked, points and results (JSON)."""
        return self.path / FILE

    @property
    def junit(self) -> Path:
        """A test case for each break."""
        return self.path / "junit.xml"

    def relative(self, run: RunDir) -> str:
        """The path of a run as `sweep.json` names it."""
        return str(run.path.relative_to(self.path))

    def write(self, sweep: Sweep) -> None:
        """Replace `sweep.json`. Raises `EnvironmentProblem` if that fails."""
        text = msgspec.json.format(msgspec.json.encode(sweep), indent=1).decode() + "\n"
        try:
            write_atomic(self.state, text)
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot write the state of the sweep: {error.strerror}",
                place=str(self.state),
                next_step=f"free some space, then: chaos sweep --resume {self.path}",
            ) from error

    def read(self) -> Sweep:
        """The stored state. Raises `UsageError` if it is none of this version."""
        try:
            return msgspec.json.decode(self.state.read_bytes(), type=Sweep)
        except (OSError, *UNREADABLE) as error:
            raise UsageError(
                f"not the state of a sweep of this version: {error}",
                place=str(self.state),
                next_step="begin a new sweep",
            ) from error


def begin(asked: Asked, runs: Path) -> tuple[SweepDir, Sweep]:
    """Make the folder of a new sweep. Raises `EnvironmentProblem` if it cannot be made."""
    now = time.gmtime()
    stamp = time.strftime("%Y%m%d-%H%M%S", now)
    sweep_id = f"{stamp}-s{asked.seed}-{secrets.token_hex(2)}"
    folder = SweepDir(runs.resolve() / FOLDER / sweep_id)
    try:
        folder.path.mkdir(parents=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot make the folder of the sweep: {error.strerror}",
            place=str(folder.path),
            next_step="free some space or name another folder with --runs DIR",
        ) from error
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    sweep = Sweep(sweep_id=sweep_id, created=created, chaos=__version__, asked=asked)
    folder.write(sweep)
    return folder, sweep


def find_sweep(name: str, runs: Path) -> SweepDir:
    """A sweep by its folder, its name, or `latest`. Raises `UsageError` if there is none."""
    parent = runs / FOLDER
    if name == "latest":
        found = sorted(path.parent for path in parent.glob(f"*/{FILE}"))
        if found:
            return SweepDir(found[-1].resolve())
    for path in (Path(name), parent / name):
        if is_file(path / FILE):
            return SweepDir(path.resolve())
    raise UsageError(
        f"no sweep {name!r}", place="--resume", next_step=f"name a folder of {parent}, or latest"
    )
