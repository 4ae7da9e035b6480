"""The course of a gate: one run after the other, each recorded before and after it.

Goes on from whatever `gate.json` says, so that beginning and resuming are the same. How a run is
started stands behind `Runner`; what the runs amount to is said by outcome.py.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import msgspec

from chaos.assets import ensure
from chaos.assets.progress import progress_for
from chaos.base.errors import ChaosError, EnvironmentProblem
from chaos.base.exitcode import ExitCode
from chaos.base.units import duration_text
from chaos.checks.verdict import Verdict
from chaos.gate import aftermath
from chaos.gate.state import GateDir, GateState, StepState
from chaos.gate.steps import GatePlan, Step, config_digest
from chaos.record.rundir import RunDir
from chaos.runner.child import Interrupts, run_child
from chaos.runner.judge import judge
from chaos.runner.launch import Display, Prepared, prepare

Say = Callable[[str], None]


class NotClean(ChaosError):
    """Something of a run remains: the next one must not begin (exit 6)."""

    exit_code = ExitCode.CLEANUP_INCOMPLETE


class End(Enum):
    """How the work on a gate ended, this time."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"  # every run that was not finished is made again by --resume
    STOPPED = "stopped"  # at the first failure, as asked


class Runner(Protocol):
    """Starts runs."""

    def ready(self) -> None:
        """Provide what every run needs; `ChaosError` if it cannot be had."""

    def prepare(self, step: Step, gate: GateDir) -> Prepared:
        """Write the run directory of `step` below the gate's; starts nothing."""

    def run(self, prepared: Prepared, limit_s: float, interrupts: Interrupts) -> int:
        """Make the run; its exit code."""


class ChildRunner:
    """Each run as a child process, with a guardian of its own."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def ready(self) -> None:
        """Assets: fetched now, and not when a signal only marks the end of the gate."""
        ensure(progress_for(quiet=self._display.quiet))

    def prepare(self, step: Step, gate: GateDir) -> Prepared:
        """Assets, run directory, guardian's command line."""
        prepared = prepare(step.plan, step.schedule, gate.path, self._display)
        prepared.env["CHAOS_COMMAND_LINE"] = step.plan.reproduce
        return prepared

    def run(self, prepared: Prepared, limit_s: float, interrupts: Interrupts) -> int:
        """The run shows itself as it would alone; stdout is ours where a machine reads it."""
        silent = self._display.json or self._display.quiet
        return run_child(prepared, interrupts, limit_s, silent=silent)


class Conductor:
    """Works through the steps of one gate."""

    def __init__(
        self,
        plan: GatePlan,
        gate: GateDir,
        state: GateState,
        runner: Runner,
        interrupts: Interrupts,
        say: Say,
        *,
        fail_fast: bool = False,
    ) -> None:
        self._plan = plan
        self._gate = gate
        self._state = state
        self._runner = runner
        self._interrupts = interrupts
        self._say = say
        self._fail_fast = fail_fast

    def conduct(self) -> End:
        """Make every run that is not finished. Raises `ChaosError` when a run cannot start, or
        when something of one remains that cannot be removed.
        """
        self._state.state = "running"
        self._state.dirty = []
        self._state.verdict = None
        try:
            for item in self._state.steps:
                self._look_again(item)
            if not any(item.state == "done" for item in self._state.steps):
                self._state.gpu_before = aftermath.gpu_used()
            self._save()
            end = self._work()
        except ChaosError:
            self._state.state = "interrupted"
            self._save()
            raise
        self._state.state = end.value
        self._save()
        return end

    def _work(self) -> End:
        total = len(self._state.steps)
        pairs = zip(self._plan.steps, self._state.steps, strict=True)
        for number, (step, item) in enumerate(pairs, start=1):
            if item.state != "done":
                if self._interrupts.event.is_set():
                    return End.INTERRUPTED
                self._say(f"gate {number}/{total}: {step.name}{self._left()}")
                if not self._make(step, item):
                    return End.INTERRUPTED
                self._say(f"gate {number}/{total}: {step.name}: {told(item)}\n")
                if number < total and self._interrupts.event.wait(self._plan.cooldown_s):
                    return End.INTERRUPTED
            if self._fail_fast and item.verdict == "fail" and self._pending():
                return End.STOPPED
        return End.COMPLETE

    def _pending(self) -> bool:
        return any(item.state != "done" for item in self._state.steps)

    def _left(self) -> str:
        """How long the rest takes, by what the finished runs took beyond their plan."""
        pairs = list(zip(self._plan.steps, self._state.steps, strict=True))
        beyond = [i.lasted_s - s.planned_s for s, i in pairs if i.lasted_s is not None]
        extra_s = sum(beyond) / len(beyond) if beyond else 0.0
        rest = [step for step, item in pairs if item.state != "done"]
        left_s = sum(max(0.0, step.planned_s + extra_s) for step in rest)
        left_s += self._plan.cooldown_s * (len(rest) - 1)
        return f", about {duration_text(left_s)} left"

    # -- one run ------------------------------------------------------------------------------

    def _make(self, step: Step, item: StepState) -> bool:
        """Make one run; False if it was interrupted and has to be made again."""
        prepared = self._runner.prepare(step, self._gate)
        item.state = "running"
        item.run = self._gate.relative(prepared.run)
        item.attempts.append(item.run)
        self._save()  # before it starts: whatever happens now, the run is known
        code = self._runner.run(prepared, step.limit_s, self._interrupts)
        self._reset(prepared.run, item)
        verdict = self._verdict(prepared.run)
        if verdict is None:
            if self._interrupts.event.is_set():
                return False
            raise EnvironmentProblem(
                f"{step.name} ended with exit code {code} and left nothing to judge",
                place=str(prepared.run.path),
                next_step=f"see what it printed, then: chaos gate --resume {self._gate.path}",
            )
        if verdict.stopped == "interrupt" or self._cut_off_by_us(verdict):
            return False
        self._finish(item, prepared.run, verdict, code)
        return True

    def _cut_off_by_us(self, verdict: Verdict) -> bool:
        return self._interrupts.event.is_set() and verdict.stopped != "complete"

    def _finish(self, item: StepState, run: RunDir, verdict: Verdict, code: int) -> None:
        item.state = "done"
        item.run = self._gate.relative(run)
        item.verdict = verdict.verdict
        item.exit_code = code
        item.lasted_s = verdict.lasted_s
        item.verdict_sha256 = _sha256(run)
        item.notes += aftermath.gpu_growth(self._state.gpu_before, aftermath.gpu_used())
        self._save()

    def _reset(self, run: RunDir, item: StepState) -> None:
        found, remaining = aftermath.reset(run)
        item.left += found
        if remaining:
            self._state.dirty += remaining
            raise NotClean(
                f"cannot remove what {item.name} left behind: {', '.join(remaining)}",
                place=str(run.path),
                next_step=f"chaos clean {shlex.quote(str(run.path))}, then: "
                f"chaos gate --resume {shlex.quote(str(self._gate.path))}",
            )

    # -- going on -----------------------------------------------------------------------------

    def _look_again(self, item: StepState) -> None:
        """What is recorded as finished must still be there; what was begun is reset."""
        run = self._gate.run(item)
        if item.state == "pending" or run is None:
            return
        if not aftermath.await_owner_gone(run):
            raise EnvironmentProblem(
                f"{item.name} still runs",
                place=str(run.path),
                next_step="end it, or wait for its end",
            )
        self._reset(run, item)
        verdict = self._verdict(run) if self._is_of(item, run) else None
        if item.state == "done":
            self._keep(item, run, verdict)
        elif verdict is not None and verdict.stopped == "complete":
            # It had ended properly; only the gate had no time to say so.
            self._finish(item, run, verdict, verdict.exit_code)
        else:
            self._say(f"{item.name} was cut off, it is made again")
            self._discard(item, "cut off, made again")

    def _keep(self, item: StepState, run: RunDir, verdict: Verdict | None) -> None:
        if verdict is None:
            self._say(f"{item.name}: its record is gone or is not its own, it is made again")
            self._discard(item, "its record was gone, made again")
            return
        if _sha256(run) != item.verdict_sha256:
            self._say(f"{item.name}: verdict.json was changed, the run is judged again")
            verdict = judge(run)
            item.notes.append("judged again: verdict.json had been changed")
            self._finish(item, run, verdict, verdict.exit_code)

    def _discard(self, item: StepState, why: str) -> None:
        item.notes.append(why)
        item.state = "pending"
        item.run = item.verdict = item.exit_code = item.lasted_s = item.verdict_sha256 = None

    def _is_of(self, item: StepState, run: RunDir) -> bool:
        """Whether the run is one of this step's plan."""
        try:
            return config_digest(run.read_json(run.config)) == item.digest
        except ChaosError:
            return False

    def _verdict(self, run: RunDir) -> Verdict | None:
        """The verdict of `run`; judged anew where the file is missing or damaged but the record
        is there; None if there is nothing to judge.
        """
        if (found := read_verdict(run)) is not None:
            return found
        if not run.history.is_file():
            return None
        try:
            return judge(run)
        except ChaosError:
            return None

    def _save(self) -> None:
        self._gate.write(self._state)


def read_verdict(run: RunDir) -> Verdict | None:
    """`verdict.json`, if it is there, whole, and of this run."""
    try:
        verdict = msgspec.convert(run.read_json(run.verdict), Verdict)
    except (ChaosError, msgspec.ValidationError):
        return None
    return verdict if verdict.run_id == run.run_id else None


def _sha256(run: RunDir) -> str:
    return hashlib.sha256(run.verdict.read_bytes()).hexdigest()


def told(item: StepState) -> str:
    """'pass (2 min 56 s)' and what else is worth saying of it."""
    text = f"{item.verdict} ({duration_text(item.lasted_s or 0.0)})"
    return "; ".join([text, *item.notes, *(f"had left {what}" for what in item.left)])
