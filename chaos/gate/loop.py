"""Runs the steps of a gate one by one, and writes `gate.json` before and after each run.

Starting and resuming are the same: the loop continues from the content of `gate.json`. It must not
know how a run is started (`Runner` does), nor how the runs decide the verdict (outcome.py).
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

import msgspec

from chaos.assets import ensure
from chaos.assets.progress import progress_for
from chaos.base.errors import ChaosError, EnvironmentProblem
from chaos.base.exitcode import ExitCode
from chaos.base.units import duration_text
from chaos.checks.verdict import Verdict
from chaos.gate import leftovers
from chaos.gate.state import GateDir, GateState, StepState, SweepState
from chaos.gate.steps import GatePlan, Step, config_digest
from chaos.gate.sweep_run import SweepRun, sha256
from chaos.gate.sweep_step import SweepStep
from chaos.record.record_hash import record_sha256
from chaos.record.rundir import RunDir
from chaos.report.display import Display
from chaos.runner.child import Interrupts, run_child
from chaos.runner.judge import judge
from chaos.runner.launch import Prepared, prepare
from chaos.sweep.make import make as make_sweep
from chaos.sweep.state import Result, Sweep, SweepDir


class LeftoversRemain(ChaosError):
    """Leftovers of a run cannot be removed, so the next run must not start (exit 6)."""

    exit_code = ExitCode.CLEANUP_INCOMPLETE


class End(Enum):
    """The end of the loop. The value is the state in `gate.json`."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"  # --resume repeats every unfinished run
    STOPPED = "stopped"  # at the first failure, with --fail-fast


class Runner:
    """Makes each run in a child process with its own guardian."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def ready(self) -> None:
        """Provision the assets before `Interrupts` handles signals, so that Ctrl-C stops it.

        Raises `ChaosError` if an asset is unavailable.
        """
        ensure(progress_for(quiet=self._display.quiet))

    def prepare(self, step: Step, gate: GateDir) -> Prepared:
        """Write the run directory of `step` in the gate's folder; start nothing."""
        prepared = prepare(step.plan, step.schedule, gate.path, self._display)
        prepared.env["CHAOS_COMMAND_LINE"] = step.plan.reproduce
        return prepared

    def run(self, prepared: Prepared, limit_s: float, interrupts: Interrupts) -> int:
        """Make the run, for at most `limit_s`, and return its exit code.

        It prints to stdout as a single run does, except with --json or --quiet.
        """
        silent = self._display.json or self._display.quiet
        return run_child(prepared, interrupts, limit_s, silent=silent)

    def sweep(
        self,
        interrupts: Interrupts,
        say: Callable[..., None],
        folder: SweepDir,
        sweep: Sweep,
        ended: Callable[[RunDir], None],
        seen: Callable[[Result], None],
    ) -> ExitCode:
        """Make what is left of the sweep, and return its exit code. `ended`, `seen`: see `make`."""
        return make_sweep(folder, sweep, interrupts, say, ended=ended, seen=seen)


@dataclass
class GateLoop:
    """Runs the unfinished steps of one gate. `say` prints a text, with a new line or with `end`."""

    plan: GatePlan
    gate: GateDir
    state: GateState
    runner: Runner
    interrupts: Interrupts
    say: Callable[..., None]
    fail_fast: bool = False

    def run(self) -> End:
        """Make every unfinished run.

        Raises `ChaosError` if a run cannot start, or if its leftovers cannot be removed.
        """
        self.state.state = "running"
        self.state.dirty = []
        self.state.verdict = None
        try:
            for entry in self.state.steps:
                self._recheck(entry)
            if (sweep := self._sweep_run()) is not None:
                sweep.recheck()
            if not any(entry.state == "done" for entry in self.state.steps):
                self.state.gpu_before = leftovers.gpu_used()
            self._save()
            end = self._run_steps()
        except ChaosError:
            self.state.state = "interrupted"
            self._save()
            raise
        self.state.state = end.value
        self._save()
        return end

    def _run_steps(self) -> End:
        entries = self.state.to_make
        for number, (step, entry) in enumerate(
            zip(self.plan.to_make, entries, strict=True), start=1
        ):
            place = f"gate {number}/{len(entries)}: {entry.name}"
            if entry.state != "done":
                if self.interrupts.event.is_set():
                    return End.INTERRUPTED
                self.say(f"{place}, about {self._remaining()} left")
                if not self._made(step, entry):
                    return End.INTERRUPTED
                self.say(f"{place}: {result_text(entry)}\n")
                if number < len(entries) and self.interrupts.event.wait(self.plan.cooldown_s):
                    return End.INTERRUPTED
            unfinished = any(other.state != "done" for other in entries)
            if self.fail_fast and entry.verdict == "fail" and unfinished:
                return End.STOPPED
        return End.COMPLETE

    def _made(self, step: Step | SweepStep, entry: StepState | SweepState) -> bool:
        """Make a run or the sweep. False if it was interrupted."""
        if isinstance(step, Step) and isinstance(entry, StepState):
            return self._run_step(step, entry)
        sweep = self._sweep_run()
        if sweep is None or not sweep.make(partial(self.runner.sweep, self.interrupts, self.say)):
            return False
        entry.notes += leftovers.gpu_growth(self.state.gpu_before, leftovers.gpu_used())
        self._save()
        return True

    def _sweep_run(self) -> SweepRun | None:
        step, entry = self.plan.sweep, self.state.sweep
        if step is None or entry is None:
            return None
        clean = partial(self._remove_leftovers, entry=entry)
        return SweepRun(self.gate, step, entry, self._save, self.say, clean)

    def _remaining(self) -> str:
        """Return the estimated remaining time.

        Each run is expected to exceed its plan by the mean excess of the finished runs.
        """
        pairs = list(zip(self.plan.to_make, self.state.to_make, strict=True))
        excess_s = [
            entry.lasted_s - step.planned_s
            for step, entry in pairs
            if isinstance(step, Step) and entry.lasted_s is not None
        ]
        mean_excess_s = sum(excess_s) / len(excess_s) if excess_s else 0.0
        unfinished = [step for step, entry in pairs if entry.state != "done"]
        remaining_s = sum(
            max(0.0, step.planned_s + (mean_excess_s if isinstance(step, Step) else 0.0))
            for step in unfinished
        )
        remaining_s += self.plan.cooldown_s * (len(unfinished) - 1)
        return duration_text(remaining_s)

    # -- one run ------------------------------------------------------------------------------

    def _run_step(self, step: Step, entry: StepState) -> bool:
        """Make the run of one step. False if it was interrupted and must be repeated."""
        prepared = self.runner.prepare(step, self.gate)
        entry.state = "running"
        entry.run = self.gate.relative(prepared.run)
        entry.attempts.append(entry.run)
        self._save()  # before the start, so that --resume knows the run after any crash
        code = self.runner.run(prepared, step.limit_s, self.interrupts)
        self._remove_leftovers(prepared.run, entry)
        verdict = self._verdict(prepared.run)
        if verdict is None:
            if self.interrupts.event.is_set():
                return False
            raise EnvironmentProblem(
                f"{step.name} ended with exit code {code} and left nothing to judge",
                place=str(prepared.run.path),
                next_step=f"see what it printed, then: chaos gate --resume {self.gate.path}",
            )
        interrupted = self.interrupts.event.is_set() and verdict.stopped != "complete"
        if verdict.stopped == "interrupt" or interrupted:
            return False
        self._finish(entry, prepared.run, verdict, code)
        return True

    def _finish(self, entry: StepState, run: RunDir, verdict: Verdict, code: int) -> None:
        entry.state = "done"
        entry.run = self.gate.relative(run)
        entry.verdict = verdict.verdict
        entry.exit_code = code
        entry.lasted_s = verdict.lasted_s
        entry.verdict_sha256 = sha256(run.verdict)
        entry.record_sha256 = record_sha256(run)
        entry.notes += leftovers.gpu_growth(self.state.gpu_before, leftovers.gpu_used())
        self._save()

    def _remove_leftovers(self, run: RunDir, entry: StepState | SweepState) -> None:
        before, remaining = leftovers.remove(run)
        entry.left += before
        if remaining:
            self.state.dirty += remaining
            raise LeftoversRemain(
                f"cannot remove what {entry.name} left behind: {', '.join(remaining)}",
                place=str(run.path),
                next_step=f"chaos clean {shlex.quote(str(run.path))}, then: "
                f"chaos gate --resume {shlex.quote(str(self.gate.path))}",
            )

    # -- resuming -----------------------------------------------------------------------------

    def _recheck(self, entry: StepState) -> None:
        """Check the earlier run of a step, if any: keep it, finish it, or mark it as pending."""
        run = self.gate.run(entry)
        if entry.state == "pending" or run is None:
            return
        if not leftovers.await_owner_gone(run):
            raise EnvironmentProblem(
                f"{entry.name} still runs",
                place=str(run.path),
                next_step="end it, or wait for its end",
            )
        self._remove_leftovers(run, entry)
        verdict = self._verdict(run) if self._has_plan_of(run, entry) else None
        if entry.state == "done":
            self._keep(entry, run, verdict)
        elif verdict is not None and verdict.stopped == "complete":
            # The run was complete when the gate ended, but `gate.json` was not written yet.
            self._finish(entry, run, verdict, verdict.exit_code)
        else:
            self.say(f"{entry.name} was cut off, it is made again")
            self._discard(entry, "cut off, made again")

    def _keep(self, entry: StepState, run: RunDir, verdict: Verdict | None) -> None:
        """Keep a finished run. Judge it again if its verdict or its record was changed since."""
        if verdict is None:
            self.say(f"{entry.name}: its record is gone or is not its own, it is made again")
            self._discard(entry, "its record was gone, made again")
            return
        changed = "verdict.json" if sha256(run.verdict) != entry.verdict_sha256 else ""
        if entry.record_sha256 is not None and record_sha256(run) != entry.record_sha256:
            changed = "its record"
        if changed:
            self.say(f"{entry.name}: {changed} was changed, the run is judged again")
            verdict = judge(run)
            entry.notes.append(f"judged again: {changed} had been changed")
            self._finish(entry, run, verdict, verdict.exit_code)

    def _discard(self, entry: StepState, reason: str) -> None:
        entry.notes.append(reason)
        entry.state = "pending"
        entry.run = entry.verdict = entry.exit_code = entry.lasted_s = None
        entry.verdict_sha256 = entry.record_sha256 = None

    def _has_plan_of(self, run: RunDir, entry: StepState) -> bool:
        """Whether the run has the plan of this step."""
        try:
            return config_digest(run.read_json(run.config)) == entry.digest
        except ChaosError:
            return False

    def _verdict(self, run: RunDir) -> Verdict | None:
        """Return the verdict of `run`, or None without one.

        If `verdict.json` is missing or damaged, the run is judged from its history.
        """
        if (verdict := read_verdict(run)) is not None:
            return verdict
        if not run.history.is_file():
            return None
        try:
            return judge(run)
        except ChaosError:
            return None

    def _save(self) -> None:
        self.gate.write(self.state)


def read_verdict(run: RunDir) -> Verdict | None:
    """Return the content of `verdict.json`; None if it is missing, damaged or of another run."""
    try:
        verdict = msgspec.convert(run.read_json(run.verdict), Verdict)
    except (ChaosError, msgspec.ValidationError):
        return None
    return verdict if verdict.run_id == run.run_id else None


def result_text(entry: StepState | SweepState) -> str:
    """Return e.g. "pass (2 min 56 s)", followed by notes and removed leftovers."""
    word = entry.verdict if isinstance(entry, StepState) else f"{entry.word}, {entry.counts_text}"
    text = f"{word} ({duration_text(entry.lasted_s or 0.0)})"
    return "; ".join([text, *entry.notes, *(f"had left {leftover}" for leftover in entry.left)])
