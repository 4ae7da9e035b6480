"""Makes the crash sweep of a gate in its folder, or goes on with one that was cut off.

`gate.json` is written before the sweep begins, after each break and at the end; `sweep.json` has
what is judged. Must not know how the sweep's runs are started (`Runner` does).
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.exitcode import ExitCode
from chaos.gate import leftovers
from chaos.gate.state import GateDir, GateState, SweepState
from chaos.gate.sweep_step import SweepStep
from chaos.record.batch_list import sweep_word
from chaos.record.rundir import RunDir
from chaos.sweep import state as sweeps
from chaos.sweep.state import Result, Sweep, SweepDir
from chaos.sweep.text import outcome_counts

# (folder, what was asked and is done, called with each run that has ended, and with each result)
Make = Callable[[SweepDir, Sweep, Callable[[RunDir], None], Callable[[Result], None]], ExitCode]

_VERDICTS = {
    ExitCode.PASS: "pass",
    ExitCode.FAIL: "fail",
    ExitCode.INCONCLUSIVE: "inconclusive",
    ExitCode.INVALID: "invalid",
}


def sweep_of(gate: GateDir, state: GateState) -> tuple[SweepDir, Sweep] | None:
    """The crash sweep of a gate, if one was begun."""
    folder = None if state.sweep is None else gate.sweep(state.sweep)
    return None if folder is None else (folder, folder.read())


def provenance_of(folder: SweepDir, sweep: Sweep) -> list[dict[str, Any]]:
    """What ran in each break that was judged."""
    runs = [RunDir(folder.path / r.run) for r in sweep.results if r.outcome != "invalid"]
    return [run.read_json(run.provenance) if run.provenance.is_file() else {} for run in runs]


@dataclass
class SweepRun:
    """The sweep of one gate. `clean` removes the leftovers of a run, or raises `ChaosError`."""

    gate: GateDir
    step: SweepStep
    entry: SweepState
    save: Callable[[], None]
    say: Callable[..., None]
    clean: Callable[[RunDir], None]

    def recheck(self) -> None:
        """Check the earlier sweep, if there is one: keep it, go on with it, or make it again.

        Raises `ChaosError` if a run of it still goes on, or has left what cannot be removed.
        """
        folder = self.gate.sweep(self.entry)
        if folder is None:
            return
        sweep = self._own(folder)
        finished = set() if sweep is None else _finished(sweep)
        for run in folder.runs():
            if folder.relative(run) not in finished:
                self._end(run)
        if sweep is None:
            self._discard("its sweep.json is gone or is not its own, made again")
        elif self.entry.state == "done" and sha256(folder.state) != self.entry.state_sha256:
            self._discard("its sweep.json was changed, made again")
        elif self.entry.state == "running":
            self.entry.notes.append(f"cut off after {len(sweep.results)} breaks, gone on with")

    def make(self, make: Make) -> bool:
        """Make what is left of the sweep. False if it was interrupted."""
        folder, sweep = self._begun()
        began_s = time.monotonic() - (self.entry.lasted_s or 0.0)

        def lasted() -> None:
            self.entry.counts = outcome_counts(sweep.results)
            self.entry.points = len(sweep.points)
            self.entry.lasted_s = round(time.monotonic() - began_s, 1)

        def seen(_result: Result) -> None:
            lasted()
            self.save()

        with folder.locked():
            code = make(folder, sweep, self.clean, seen)
        lasted()
        if code == ExitCode.INTERRUPTED:
            return False
        self._finish(folder, sweep, code)
        return True

    def _begun(self) -> tuple[SweepDir, Sweep]:
        folder = self.gate.sweep(self.entry)
        if folder is None:
            folder, sweep = sweeps.begin(self.step.asked, self.gate.path)
            self.entry.sweep = str(folder.path.relative_to(self.gate.path))
        else:
            sweep = folder.read()
        self.entry.state = "running"
        self.save()  # before the first run, so that --resume knows the sweep after any crash
        return folder, sweep

    def _finish(self, folder: SweepDir, sweep: Sweep, code: ExitCode) -> None:
        entry = self.entry
        entry.state = "done"
        entry.verdict = _VERDICTS[code]
        entry.word = sweep_word(sweep.state, (result.outcome for result in sweep.results))
        entry.reason = sweep.reason
        entry.exit_code = int(code)
        entry.state_sha256 = sha256(folder.state)
        self.save()

    def _own(self, folder: SweepDir) -> Sweep | None:
        """The stored sweep; None if it is damaged, or is none of this gate."""
        try:
            sweep = folder.read()
        except UsageError:
            return None
        return sweep if sweep.asked == self.step.asked else None

    def _end(self, run: RunDir) -> None:
        """Wait for the end of a run that was cut off, and remove its leftovers."""
        if not leftovers.await_owner_gone(run):
            raise EnvironmentProblem(
                f"a run of the {self.entry.name} still goes on",
                place=str(run.path),
                next_step="end it, or wait for its end",
            )
        self.clean(run)

    def _discard(self, reason: str) -> None:
        self.say(f"{self.entry.name}: {reason}")
        entry = self.entry
        entry.notes.append(reason)
        entry.state, entry.word, entry.reason = "pending", "", ""
        entry.sweep = entry.verdict = entry.exit_code = entry.lasted_s = entry.state_sha256 = None
        entry.counts, entry.points = {}, 0


def _finished(sweep: Sweep) -> set[str]:
    """The runs whose leftovers were removed, as `sweep.json` names them."""
    controls = {run for runs in sweep.controls.values() for run in runs}
    return controls | {result.run for result in sweep.results}


def sha256(path: Path) -> str:
    """The SHA-256 of a file (hex)."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
