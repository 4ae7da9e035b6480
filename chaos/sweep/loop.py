"""Makes the runs of a sweep: two controls for each kind of work, then a run for each break."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace

import msgspec

from chaos.base.errors import ChaosError
from chaos.base.exitcode import ExitCode
from chaos.checks.verdict import Verdict
from chaos.plan.schedule import draw
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.report.display import Display
from chaos.report.stored import load
from chaos.report.write import FORMATS, write_page
from chaos.runner.child import Interrupts, run_child
from chaos.runner.launch import prepare
from chaos.runner.resolve import Request, resolve
from chaos.sweep.points import Point, agreed, points_of
from chaos.sweep.request import Break, breaks, broken, control
from chaos.sweep.state import Outcome, Result, Sweep, SweepDir

_MARGIN_S = 300.0  # beyond a run's own budget
_FINDINGS_MAX = 6
# A single piece of work need not take the path of recovery once more.
_BESIDE = frozenset({"paths_taken", "fault_effect", "steady_state"})


@dataclass(frozen=True)
class Made:
    """A run that has ended."""

    run: RunDir
    code: int
    verdict: Verdict | None  # None: it wrote none


@dataclass
class Loop:
    """One sweep.

    `seen` is called with each new result, in the order in which they come. `ended` is called with
    each run that has ended, before it has a result; an error that it raises ends the sweep.
    """

    folder: SweepDir
    sweep: Sweep
    interrupts: Interrupts
    jobs: int
    say: Callable[[str], None]
    seen: Callable[[Result], None]
    ended: Callable[[RunDir], None] = lambda _run: None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)  # no further run begins

    def points(self) -> bool:
        """Make the controls and take the points from them; False if a control did not pass."""
        asked = self.sweep.asked
        self.sweep.controls, self.sweep.differs = {}, []  # those of an interrupted try
        found: list[Point] = []
        for work in asked.work:
            pair = []
            for number in (1, 2):
                self.say(f"control {number} of 2: one piece of {work}")
                request = control(asked.target, work, asked.seed, asked.backend)
                made = self._make(request)
                self.sweep.controls.setdefault(work, []).append(self.folder.relative(made.run))
                self.ended(made.run)
                if self.interrupts.event.is_set() or self._unfit(made, work):
                    return False
                with OpenRun(made.run) as run:
                    (piece,) = run.sql("select id from ops where op = 'submit'")[0]
                    pair.append(points_of(run, work, str(piece)))
            both, alone = agreed(*pair)
            self.sweep.differs += [f"{work}: {text}" for text in alone]
            self.sweep.control_s[work] = max((p.after_s for p in both), default=0.0)
            found += both
        self.sweep.points = [
            msgspec.structs.replace(point, number=n) for n, point in enumerate(found, start=1)
        ]
        self.folder.write(self.sweep)
        return bool(found) or self._stop("no call of the daemon made anything durable")

    def _unfit(self, made: Made, work: str) -> bool:
        verdict = made.verdict
        if verdict is not None and verdict.verdict == "pass" and made.code == ExitCode.PASS:
            with OpenRun(made.run) as run:
                lacking = run.sql(
                    "select detail ->> '$.reason' from events where name = 'not_witnessed' "
                    "and detail ->> '$.witness' = 'syscalls'"
                )
            if not lacking:
                return False
            self._stop(f"system calls cannot be witnessed here: {lacking[0][0]}")
            return True
        reason = verdict.reason if verdict is not None else f"exit code {made.code}"
        self._stop(f"the control with {work} did not pass ({reason}): {made.run.path}")
        return True

    def _stop(self, reason: str) -> bool:
        self.sweep.state, self.sweep.reason = "stopped", reason
        self.folder.write(self.sweep)
        return False

    def breaks(self) -> list[Break]:
        """The breaks that were asked for, in order; a sample is drawn by the seed."""
        asked = self.sweep.asked
        points = self.sweep.points
        if asked.chosen:
            points = [point for point in points if point.number in asked.chosen]
        elif asked.sample is not None and asked.sample < len(points):
            picked = random.Random(asked.seed).sample(range(len(points)), asked.sample)
            points = [points[n] for n in sorted(picked)]
        return breaks(points, asked.kinds, asked.errors)

    def run(self) -> None:
        """Make the run of each break that has no result yet."""
        left = [one for one in self.breaks() if not self.sweep.done(one)]
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="sweep") as workers:
            futures = [workers.submit(self._strike, one) for one in left]
            try:
                for future in as_completed(futures):
                    self._keep(future.result())
            finally:  # after an error no further run begins
                self._over.set()
        self.sweep.state = "interrupted" if self.interrupts.event.is_set() else "complete"
        self.folder.write(self.sweep)

    def _keep(self, result: Result | None) -> None:
        if result is None:  # interrupted: it is made again with --resume
            return
        with self._lock:
            self.sweep.results.append(result)
            self.folder.write(self.sweep)
        self.seen(result)

    def _strike(self, one: Break) -> Result | None:
        if self.interrupts.event.is_set() or self._over.is_set():
            return None
        asked = self.sweep.asked
        control_s = self.sweep.control_s.get(one.point.work, 0.0)
        try:
            made = self._make(broken(asked.target, one, asked.seed, asked.backend, control_s))
        except ChaosError as error:
            return _result(one, "invalid", error.message, "", 0.0)
        try:
            self.ended(made.run)
        except BaseException:  # whatever it is: this slot must not begin the next run
            self._over.set()
            raise
        if self.interrupts.event.is_set():
            return None
        result = _judged(one, made, self.folder.relative(made.run))
        if result.outcome != "survived" and made.verdict is not None:
            write_page(made.run, made.run.path / FORMATS["html"].file)
        return result

    def _make(self, request: Request) -> Made:
        asked = self.sweep.asked
        plan = resolve(replace(request, sandbox=asked.sandbox, gpu=asked.gpu))
        prepared = prepare(plan, draw(plan), self.folder.path, Display("quiet", page=False))
        limit_s = plan.guardrails.run_budget_s + _MARGIN_S
        code = run_child(prepared, self.interrupts, limit_s, silent=True)
        run = prepared.run
        verdict = load(run).verdict if run.verdict.is_file() else None
        return Made(run, code, verdict)


def _judged(one: Break, made: Made, place: str) -> Result:
    """What the run of a break showed."""
    verdict = made.verdict
    if verdict is None:
        reason = f"the run ended with exit code {made.code} and without a verdict"
        return _result(one, "invalid", reason, place, 0.0)
    wrong = [f for f in verdict.findings if f.outcome == "fail" and f.owner == "product"]
    texts = [f"{finding.title}: {finding.summary}" for finding in wrong[:_FINDINGS_MAX]]
    struck = any(fault.proven_s is not None for fault in verdict.faults)
    undecided = [
        finding.title
        for finding in verdict.findings
        if finding.outcome in ("inconclusive", "unverified") and finding.check not in _BESIDE
    ]
    outcome: Outcome = "survived"
    if verdict.verdict == "fail":
        outcome = "failed"
    elif verdict.verdict == "invalid":
        outcome = "invalid"
    elif not struck:
        outcome = "not reached"
    elif undecided:
        outcome = "unverified"
    reason = f"open: {', '.join(undecided)}" if outcome == "unverified" else verdict.reason
    return _result(one, outcome, reason, place, verdict.lasted_s, texts)


def _result(
    one: Break,
    outcome: Outcome,
    reason: str,
    run: str,
    lasted_s: float,
    findings: Sequence[str] = (),
) -> Result:
    return Result(
        point=one.point.number,
        kind=one.kind,
        error=one.error,
        outcome=outcome,
        reason=reason,
        run=run,
        lasted_s=lasted_s,
        findings=list(findings),
    )
