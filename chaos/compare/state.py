"""`compare.json`: what a comparison was asked, and its pairs of runs so far.

The file is replaced atomically after every pair, so that it can go on after any end::

    runs/compare/20260203-101500-s7-1a2b/
      compare.json         this file
      compare.lock         locked by the process that makes the pairs
      soak_b/...           a run directory for each run
      revisions/...        the files of a git revision that is compared
      junit.xml            a test case for each pair, and one for the result
      compare.html         the result for people
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from chaos.base.version import __version__
from chaos.compare.score import Kind, Score
from chaos.plan.plan import Backend
from chaos.record.batch_list import COMPARISONS
from chaos.record.rundir import RunDir
from chaos.record.state_folder import StateFolder

SCHEMA = 1
Side = Literal["base", "candidate"]
SIDES: tuple[Side, Side] = ("base", "candidate")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options that decide what is compared and when it is decided."""

    base: str
    candidate: str
    soak: str
    profile: str | None
    faults: tuple[str, ...]
    overrides: tuple[str, ...]
    margin: float
    alpha: float
    pairs_min: int
    pairs_max: int
    score: Kind
    seed: int
    backend: Backend = "local"

    def pair_seed(self, number: int) -> int:
        """The seed of both runs of pair `number`."""
        digest = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        return int.from_bytes(digest[:4])

    def order(self, number: int) -> tuple[Side, Side]:
        """Which run of pair `number` is made first, drawn by the seed."""
        base, candidate = SIDES
        first = random.Random(f"{self.seed} order {number}").random() < 0.5
        return (base, candidate) if first else (candidate, base)


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a pair. `run`: its folder, relative to that of the comparison."""

    run: str
    score: Score
    verdict: str
    exit_code: int
    lasted_s: float


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that counts, or (`void` says why) one that does not, after its last attempt."""

    number: int
    seed: int
    schedule_hash: str
    first: Side
    base: Arm | None = None
    candidate: Arm | None = None
    void: str = ""
    again: list[str] = []  # why earlier attempts were void

    @property
    def scores(self) -> tuple[float, float]:
        """(score of the base, of the candidate) of a pair that counts."""
        base, candidate = (
            None if arm is None else arm.score.value for arm in (self.base, self.candidate)
        )
        if base is None or candidate is None:
            raise ValueError(f"pair {self.number} does not count")
        return base, candidate

    @property
    def difference(self) -> float:
        """Score of the candidate minus that of the base; of a pair that counts."""
        base, candidate = self.scores
        return candidate - base

    @property
    def newly_lost(self) -> list[str]:
        """How the candidate lost or doubled a request while the base did not."""
        if self.void or self.base is None or self.candidate is None or self.base.score.work_lost:
            return []
        return self.candidate.score.work_lost


class Compare(msgspec.Struct, kw_only=True):
    """The content of `compare.json`. `targets`: SHA-256 of both resolved targets."""

    compare_id: str
    created: str  # UTC
    chaos: str
    asked: Asked
    targets: dict[Side, str]
    pairs: list[Pair] = []
    state: Literal["running", "interrupted", "stopped", "complete"] = "running"
    reason: str = ""
    word: str = ""  # what the pairs show, for lists
    schema: int = SCHEMA

    @property
    def counted(self) -> list[Pair]:
        """The pairs that are no void ones, in order."""
        return [pair for pair in self.pairs if not pair.void]


_STATE = StateFolder(COMPARISONS, Compare, called="comparison")


@dataclass(frozen=True)
class CompareDir:
    """The folder of one comparison."""

    path: Path

    @property
    def state(self) -> Path:
        """What was asked, and the pairs (JSON)."""
        return _STATE.file(self.path)

    @property
    def junit(self) -> Path:
        """A test case for each pair, and one for the result."""
        return self.path / "junit.xml"

    @property
    def page(self) -> Path:
        """The result for people."""
        return self.path / "compare.html"

    def relative(self, run: RunDir) -> str:
        """The path of a run as `compare.json` names it."""
        return str(run.path.relative_to(self.path))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock it for this process. Raises `UsageError` if another process has the lock."""
        with _STATE.locked(self.path):
            yield

    def write(self, compare: Compare) -> None:
        """Replace `compare.json`. Raises `EnvironmentProblem` if that fails."""
        _STATE.write(self.path, compare)

    def read(self) -> Compare:
        """The stored state. Raises `UsageError` if it is none of this version."""
        return _STATE.read(self.path)


def new_folder(seed: int, runs: Path) -> tuple[CompareDir, str]:
    """Make the folder of a new comparison. Returns it, and the moment (UTC) of its name.

    Raises `ChaosError` if it cannot be made.
    """
    folder, created = _STATE.begin(runs, seed)
    return CompareDir(folder), created


def begin(folder: CompareDir, created: str, asked: Asked, targets: dict[Side, str]) -> Compare:
    """The state of a new comparison, stored."""
    compare = Compare(
        compare_id=folder.path.name,
        created=created,
        chaos=__version__,
        asked=asked,
        targets=targets,
    )
    folder.write(compare)
    return compare


def find_compare(name: str, runs: Path) -> CompareDir:
    """A comparison by its folder, its name, or `latest`. Raises `UsageError` if there is none."""
    return CompareDir(_STATE.find(name, runs))
