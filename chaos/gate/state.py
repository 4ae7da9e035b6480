"""`gate.json`: the request of a gate, the state of its steps, and its verdict.

The file is replaced atomically after every step, so that a gate can resume after any crash::

    runs/gate/20260203-101500-s12345-1a2b/
      gate.json            this file
      gate.lock            locked by the process that runs the gate
      soak_a/, soak_b/...  the run directories (chaos/record/rundir.py)
      sweep/ID/            the crash sweep (chaos/sweep/state.py)
      CHANGELOG_ENTRY.md   for the session changelog (the plan, section 9)
      junit.xml            all runs, one suite each
      report.html          the same for people (chaos/gate/page.py)
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from chaos.base.errors import UsageError
from chaos.base.version import __version__
from chaos.checks.finding import plural
from chaos.gate.request import GateRequest
from chaos.gate.steps import GatePlan
from chaos.gate.sweep_step import NAME
from chaos.plan.describe import left_out
from chaos.record.rundir import RunDir
from chaos.record.state_folder import StateFolder
from chaos.sweep.again import asked_command
from chaos.sweep.state import SweepDir

SCHEMA = 1

Word = Literal["PRODUCTION-READY", "NEEDS FIXES", "NOT PROVEN"]


class StepState(msgspec.Struct, kw_only=True):
    """One step of the gate. `run` and `attempts` are paths relative to the gate's folder."""

    name: str
    soak: str
    control: bool
    digest: str  # of the plan
    schedule_hash: str
    command: str  # repeats this single run
    state: Literal["pending", "running", "done"] = "pending"
    run: str | None = None
    verdict: str | None = None
    exit_code: int | None = None
    lasted_s: float | None = None
    verdict_sha256: str | None = None
    record_sha256: str | None = None  # of what was judged (chaos/record/record_hash.py)
    attempts: list[str] = []
    left: list[str] = []  # leftovers of the run, which were removed
    notes: list[str] = []


class SweepState(msgspec.Struct, kw_only=True):
    """The crash sweep of the gate. `sweep` is the path of its folder, relative to the gate's.

    `left_out`: why it is not made. `word` and `counts` are those of `chaos sweep`: "SURVIVED",
    {"survived": 12}. `verdict` is its exit code as the verdict of a run.
    """

    after: str  # the soak that it follows
    place: int  # so many runs are made before it
    digest: str
    command: str  # makes it again, outside the gate
    left_out: str = ""
    name: str = NAME
    state: Literal["pending", "running", "done"] = "pending"
    sweep: str | None = None
    verdict: str | None = None
    word: str = ""
    reason: str = ""
    exit_code: int | None = None
    points: int = 0
    counts: dict[str, int] = {}
    lasted_s: float | None = None
    state_sha256: str | None = None  # of sweep.json
    left: list[str] = []
    notes: list[str] = []

    @property
    def counts_text(self) -> str:
        """'1 failed, 11 survived (65 points)', or why no break was tried."""
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        return f"{counts} ({plural(self.points, 'point')})" if counts else self.reason


class GateVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a gate. `reason` is one sentence."""

    verdict: Word
    exit_code: int
    reason: str
    notes: list[str]


class GateState(msgspec.Struct, kw_only=True):
    """The content of `gate.json`."""

    gate_id: str
    created: str  # UTC
    chaos: str
    request: GateRequest
    steps: list[StepState]
    file_sha256: str = ""  # of the gate file
    required: list[str] = []  # the soaks of a complete gate
    state: Literal["running", "interrupted", "stopped", "complete"] = "running"
    dirty: list[str] = []  # leftovers that could not be removed
    gpu_before: dict[str, int] = {}  # bytes used of each GPU before the first run
    verdict: GateVerdict | None = None
    sweep: SweepState | None = None  # None: its file asks for none
    schema: int = SCHEMA

    @property
    def to_make(self) -> list[StepState | SweepState]:
        """The runs, and the sweep unless it is left out, in the order in which they are made."""
        entries: list[StepState | SweepState] = list(self.steps)
        if self.sweep is not None and not self.sweep.left_out:
            entries.insert(self.sweep.place, self.sweep)
        return entries


_STATE = StateFolder("gate", GateState)


@dataclass(frozen=True)
class GateDir:
    """The folder of one gate, and the paths in it."""

    path: Path

    @property
    def state(self) -> Path:
        """Request, steps and verdict (JSON)."""
        return _STATE.file(self.path)

    @property
    def changelog(self) -> Path:
        """The changelog entry (Markdown)."""
        return self.path / "CHANGELOG_ENTRY.md"

    @property
    def junit(self) -> Path:
        """All runs as JUnit XML."""
        return self.path / "junit.xml"

    @property
    def page(self) -> Path:
        """Verdict, matrix of the runs and what failed, for people (HTML)."""
        return self.path / "report.html"

    def run(self, step: StepState) -> RunDir | None:
        """The run directory of a step, if it has one."""
        return RunDir(self.path / step.run) if step.run else None

    def sweep(self, entry: SweepState) -> SweepDir | None:
        """The folder of the crash sweep, if it has one."""
        return SweepDir(self.path / entry.sweep) if entry.sweep else None

    def relative(self, run: RunDir) -> str:
        """The path of a run as `gate.json` names it: relative to the gate's folder."""
        return str(run.path.relative_to(self.path))

    def write(self, state: GateState) -> None:
        """Replace `gate.json` atomically. Raises `EnvironmentProblem` if that fails."""
        _STATE.write(self.path, state)

    def read(self) -> GateState:
        """Return the content of `gate.json`. Raises `UsageError` if another version wrote it."""
        return _STATE.read(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the gate for this process. Raises `UsageError` if another one has the lock."""
        with _STATE.locked(self.path):
            yield


def begin(plan: GatePlan, root: Path) -> tuple[GateDir, GateState]:
    """Make the folder of a new gate below `root`, and write its state.

    Raises `ChaosError` if the folder cannot be created.
    """
    path, created = _STATE.begin(root, plan.request.seed)
    gate = GateDir(path)
    state = GateState(
        gate_id=path.name,
        created=created,
        chaos=__version__,
        request=plan.request,
        steps=_initial_steps(plan),
        file_sha256=hashlib.sha256(Path(plan.request.file).read_bytes()).hexdigest(),
        required=list(plan.required),
        sweep=_initial_sweep(plan),
    )
    gate.write(state)
    return gate, state


def find_gate(reference: str, root: Path, *, place: str = "--resume") -> GateDir:
    """Return the gate with this path or name, or the newest one for `latest`.

    Raises `UsageError` at `place` if there is none.
    """
    return GateDir(_STATE.find(reference, root, place=place))


def check_plan_unchanged(plan: GatePlan, state: GateState, gate: GateDir) -> None:
    """Raise `UsageError` if a step differs from what it was when the gate began."""
    now, then = _initial_steps(plan), state.steps
    for new, old in zip(now, then, strict=False):
        if (new.name, new.digest, new.schedule_hash) != (old.name, old.digest, old.schedule_hash):
            difference = f"{old.name} is not what it was when the gate began"
            break
    else:
        if len(now) == len(then) and _digest(_initial_sweep(plan)) == _digest(state.sweep):
            return
        difference = f"the {NAME} is not what it was when the gate began"
        if len(now) != len(then):
            difference = f"the gate had {len(then)} runs, it has {len(now)} now"
    raise UsageError(
        f"{difference}: an experiment, the target or {plan.request.file} was changed since",
        place=str(gate.state),
        next_step="change it back, or start the gate anew",
    )


def _digest(sweep: SweepState | None) -> str:
    return "" if sweep is None else sweep.digest


def _initial_sweep(plan: GatePlan) -> SweepState | None:
    step = plan.sweep
    if step is None:
        return None
    return SweepState(
        after=step.after,
        place=step.place,
        digest=step.digest,
        command=asked_command(step.asked),
        left_out=step.left_out,
    )


def _initial_steps(plan: GatePlan) -> list[StepState]:
    return [
        StepState(
            name=step.name,
            soak=step.soak,
            control=step.control,
            digest=step.digest,
            schedule_hash=step.schedule.hash,
            command=step.plan.reproduce,
            notes=[f"left out {text}" for text in left_out(step.plan)],
        )
        for step in plan.steps
    ]
