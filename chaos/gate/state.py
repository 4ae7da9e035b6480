"""`gate.json`: the request of a gate, the state of its steps, and its verdict.

The file is replaced atomically after every step, so that a gate can resume after any crash::

    runs/gate/20260203-101500-s12345-1a2b/
      gate.json            this file
      gate.lock            locked by the process that runs the gate
      soak_a/, soak_b/...  the run directories (chaos/record/rundir.py)
      CHANGELOG_ENTRY.md   for the session changelog (the plan, section 9)
      junit.xml            all runs, one suite each
      report.html          the same for people (chaos/gate/page.py)
"""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.version import __version__
from chaos.gate.steps import GatePlan, GateRequest
from chaos.plan.describe import left_out
from chaos.record.history import UNREADABLE
from chaos.record.rundir import RunDir, bounded, is_file, not_created, write_atomic

SCHEMA = 1
FOLDER = "gate"

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
    schema: int = SCHEMA


@dataclass(frozen=True)
class GateDir:
    """The folder of one gate, and the paths in it."""

    path: Path

    @property
    def state(self) -> Path:
        """Request, steps and verdict (JSON)."""
        return self.path / "gate.json"

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

    def relative(self, run: RunDir) -> str:
        """The path of a run as `gate.json` names it: relative to the gate's folder."""
        return str(run.path.relative_to(self.path))

    def write(self, state: GateState) -> None:
        """Replace `gate.json` atomically. Raises `EnvironmentProblem` if that fails."""
        text = msgspec.json.format(msgspec.json.encode(state), indent=2).decode() + "\n"
        try:
            write_atomic(self.state, text)
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot write the state of the gate: {error.strerror}",
                place=str(self.state),
                next_step=f"free some space, then: chaos gate --resume {self.path}",
            ) from error

    def read(self) -> GateState:
        """Return the content of `gate.json`. Raises `UsageError` if another version wrote it."""
        try:
            state = msgspec.json.decode(self.state.read_bytes(), type=GateState)
        except (OSError, *UNREADABLE) as error:
            raise UsageError(
                f"not the state of a gate: {error}",
                place=str(self.state),
                next_step="start the gate anew",
            ) from error
        if state.chaos != __version__:
            raise UsageError(
                f"was begun by chaos {state.chaos}, this is {__version__}",
                place=str(self.state),
                next_step="one gate judges with one version: start the gate anew",
            )
        return state

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the gate for this process; the kernel releases the lock of a killed process.

        Raises `UsageError` if another process has the lock.
        """
        fd = os.open(self.path / "gate.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    "somebody works on this gate already",
                    place=str(self.path),
                    next_step="wait for its end, or interrupt it there",
                ) from error
            yield
        finally:
            os.close(fd)


def begin(plan: GatePlan, root: Path) -> tuple[GateDir, GateState]:
    """Make the folder of a new gate below `root`, and write its state.

    Raises `EnvironmentProblem` if the folder cannot be created.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    name = f"{stamp}-s{plan.request.seed}-{secrets.token_hex(2)}"
    gate = GateDir(root.resolve() / FOLDER / name)
    try:
        gate.path.mkdir(parents=True)
    except OSError as error:
        raise not_created("folder of the gate", gate.path, error) from error
    state = GateState(
        gate_id=name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        chaos=__version__,
        request=plan.request,
        steps=_initial_steps(plan),
        file_sha256=hashlib.sha256(Path(plan.request.file).read_bytes()).hexdigest(),
        required=list(plan.required),
    )
    gate.write(state)
    return gate, state


def find_gate(reference: str, root: Path, *, place: str = "--resume") -> GateDir:
    """Return the gate with this path or name, or the newest one for `latest`.

    Raises `UsageError` at `place` if there is none.
    """
    folder = root / FOLDER
    candidates = [Path(reference), folder / reference]
    if reference == "latest":
        candidates = sorted(folder.glob("*/"), reverse=True)
    for path in candidates:
        if is_file(path / "gate.json"):
            return GateDir(path.resolve())
    raise UsageError(
        f"no gate at {bounded(reference)!r}",
        place=place,
        next_step=f"name the folder of a gate, one of those under {folder}, or latest",
    )


def check_plan_unchanged(plan: GatePlan, state: GateState, gate: GateDir) -> None:
    """Raise `UsageError` if a step differs from what it was when the gate began."""
    now, then = _initial_steps(plan), state.steps
    for new, old in zip(now, then, strict=False):
        if (new.name, new.digest, new.schedule_hash) != (old.name, old.digest, old.schedule_hash):
            difference = f"{old.name} is not what it was when the gate began"
            break
    else:
        if len(now) == len(then):
            return
        difference = f"the gate had {len(then)} runs, it has {len(now)} now"
    raise UsageError(
        f"{difference}: an experiment, the target or {plan.request.file} was changed since",
        place=str(gate.state),
        next_step="change it back, or start the gate anew",
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
