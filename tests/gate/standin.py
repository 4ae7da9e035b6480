"""A stand-in for `chaos run`, which writes a run directory with a scripted verdict.

It replaces the child process of a gate's step, for tests of what a gate does before, between and
after its runs. Of a crash sweep the points and the run of each break are scripted, all else is the
real sweep. tests/integration/test_gate.py tests a gate with real runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from chaos.base.exitcode import ExitCode
from chaos.gate.command import gate
from chaos.gate.loop import Runner
from chaos.gate.options import GateOptions
from chaos.gate.state import GateDir, GateState
from chaos.gate.steps import Step
from chaos.record.rundir import RunDir, create
from chaos.runner.child import Interrupts
from chaos.runner.launch import Prepared
from chaos.runner.resolve import Request
from chaos.sweep.loop import Loop, Made, _result
from chaos.sweep.make import make
from chaos.sweep.points import Point
from chaos.sweep.request import Break
from chaos.sweep.state import Outcome, Result, Sweep, SweepDir

GATE_FILE = """\
soaks: [soak_b, soak_c]
faults: [llm_timeout]
default_profile: quick
profiles:
  quick: {cooldown_s: 0}
"""
# The same with a crash sweep of two points.
SWEPT_FILE = GATE_FILE.replace(
    "{cooldown_s: 0}", "{cooldown_s: 0, sweep: {after: soak_b, points: 2, kinds: [crash]}}"
)
POINTS = [Point(n, "selfplay", "fsync", f"f{n}", 1, f"f{n}", "daemon", n / 10) for n in (1, 2)]
PROVENANCE = {
    "chaos": "0.1.0",
    "git": {"revision": "abc", "dirty": False},
    "assets": {"model_sha256": "m", "llama_build": "l", "toxiproxy_version": "2"},
    "proxy": {"kind": "toxiproxy", "version": "2", "reason": ""},
    "watcher": {"programs_sha256": "w"},
}
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3, "unverified": 3, "invalid": 4}


class Killed(BaseException):
    """Stands for SIGKILL: no code after it runs, and only the files remain."""


def verdict_json(run: RunDir, step: Step, word: str, stopped: str, code: int) -> dict[str, Any]:
    finding = {
        "outcome": word,
        "summary": "3 of 3",
        "owner": "product",
        "measured": 3,
        "limit": 3,
        "evidence": [],
        "evidence_count": 0,
        "check": "errors",
        "title": "Errors",
        "origin": "plan",
    }
    return {
        "verdict": word,
        "exit_code": code,
        "reason": "scripted",
        "run_id": run.run_id,
        "soak": step.soak,
        "title": step.plan.title,
        "profile": step.plan.profile_name,
        "seed": step.plan.seed,
        "schedule_hash": step.schedule.hash,
        "stopped": stopped,
        "lasted_s": 60.0,
        "findings": [finding],
        "faults": [],
        "notes": [],
        "reproduce": step.plan.reproduce,
        "schema": 1,
    }


class Swept:
    """How a scripted sweep goes: the outcome at each point, and `hook`, called in each run."""

    def __init__(
        self,
        *outcomes: Outcome,
        hook: Callable[[RunDir, Interrupts], None] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.outcomes: Sequence[Outcome] = outcomes or ("survived", "survived")
        self.hook = hook
        self.provenance = PROVENANCE if provenance is None else provenance
        self.runs: list[RunDir] = []


class ScriptedRunner(Runner):
    """A runner with scripted verdicts.

    `words` maps a step's name to its verdict; other steps pass. `codes` and `provenance` do the
    same for exit codes and provenance. `hook` is called at the "begin" and "end" of each run, and
    may raise.
    """

    def __init__(
        self,
        words: dict[str, str] | None = None,
        hook: Callable[[str, Step, RunDir, Interrupts], None] | None = None,
        codes: dict[str, int] | None = None,
        provenance: dict[str, dict[str, Any]] | None = None,
        swept: Swept | None = None,
    ) -> None:
        self.swept = swept or Swept()
        self._words = words or {}
        self._codes = codes or {}
        self._provenance = provenance or {}
        self._hook = hook
        self._steps: dict[Path, Step] = {}
        self.made: list[str] = []

    def ready(self) -> None:
        """Scripted runs need no assets."""

    def sweep(
        self,
        interrupts: Interrupts,
        say: Callable[..., None],
        folder: SweepDir,
        sweep: Sweep,
        ended: Callable[[RunDir], None],
        seen: Callable[[Result], None],
    ) -> ExitCode:
        """The real sweep, with the points of `POINTS` and a scripted run of each break."""
        sweep.points = POINTS
        swept = self.swept

        def made(loop: Loop, _request: Request) -> Made:
            run = create(loop.folder.path, "sweep_point", 7)
            run.write_json(run.config, {})
            run.write_json(run.provenance, swept.provenance)
            swept.runs.append(run)
            if swept.hook:
                swept.hook(run, interrupts)
            return Made(run, 0, None)

        def judged(one: Break, _made: Made, place: str) -> Result:
            outcome = swept.outcomes[one.point.number - 1]
            findings = ["Exactly once: decided twice"] if outcome == "failed" else []
            return _result(one, outcome, "scripted", place, 9.0, findings)

        with (
            mock.patch.object(Loop, "_make", made),
            mock.patch("chaos.sweep.loop._judged", judged),
        ):
            return make(folder, sweep, interrupts, say, ended=ended, seen=seen)

    def prepare(self, step: Step, gate: GateDir) -> Prepared:
        run = create(gate.path, step.soak, step.plan.seed)
        run.write_json(run.config, step.plan.to_json())
        run.write_json(run.schedule, step.schedule.to_json())
        self._steps[run.path] = step
        return Prepared(run, ["/bin/true"], {})

    def run(self, prepared: Prepared, limit_s: float, interrupts: Interrupts) -> int:
        run = prepared.run
        step = self._steps[run.path]
        self.made.append(step.name)
        assert limit_s > 0
        header = (
            f'{{"kind":"header","t_s":0.0,"run_id":"{run.run_id}",'
            f'"wall_epoch_s":{int(time.time())},"schema":1}}\n'
        )
        run.history.write_text(header)
        run.write_json(run.provenance, self._provenance.get(step.name, PROVENANCE))
        if self._hook:
            self._hook("begin", step, run, interrupts)
        word = self._words.get(step.name, "pass")
        stopped = "interrupt" if interrupts.event.is_set() else "complete"
        code = 130 if stopped == "interrupt" else self._codes.get(step.name, EXIT_CODES[word])
        run.write_json(run.verdict, verdict_json(run, step, word, stopped, code))
        if self._hook:
            self._hook("end", step, run, interrupts)
        return code


class Bench:
    """Starts and resumes one gate with scripted runs, in a temporary folder."""

    def __init__(self, tmp_path: Path, content: str = GATE_FILE) -> None:
        self.runs = tmp_path / "runs"
        self.file = tmp_path / "gate.yaml"
        self.file.write_text(content)

    def begin(self, runner: ScriptedRunner, **changes: Any) -> int:
        values = {"config": self.file, "seed": 7, **changes}
        return gate(GateOptions(runs=self.runs, **values), runner)

    def resume(self, runner: ScriptedRunner, **changes: Any) -> int:
        return gate(GateOptions(runs=self.runs, resume="latest", **changes), runner)

    @property
    def folder(self) -> GateDir:
        (path,) = (self.runs / "gate").iterdir()
        return GateDir(path)

    def state(self) -> GateState:
        return self.folder.read()
