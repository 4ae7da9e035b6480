"""Makes the pairs of runs of a comparison until it is decided."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode
from chaos.checks.finding import plural
from chaos.compare.arms import Plans, plans_of
from chaos.compare.outcome import Outcome, outcome_of
from chaos.compare.score import Score, score_of
from chaos.compare.state import Arm, Compare, CompareDir, Pair, Side
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.report.display import Display
from chaos.report.stored import load
from chaos.report.write import FORMATS, write_page
from chaos.runner.child import Interrupts, run_child
from chaos.runner.launch import prepare

ATTEMPTS_MAX = 3  # of a pair of which a run says nothing
VOID_PAIRS_MAX = 3  # in a row; then something is wrong here, and more pairs would not help
_MARGIN_S = 300.0  # beyond a run's own budget
_LEFT_BEHIND = "a run left faults behind: run `chaos clean`"


@dataclass
class Loop:
    """One comparison. `seen` is called with each pair, in order, and what all so far show.

    Pairs are counted in the order of their numbers, whichever is done first: a pair must not count
    because it was quick.
    """

    folder: CompareDir
    compare: Compare
    targets: dict[Side, str]
    interrupts: Interrupts
    jobs: int
    seen: Callable[[Pair, Outcome], None]
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Make pairs until it is decided, or until there are as many as were asked for."""
        pending: deque[Future[Pair | None]] = deque()
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="compare") as workers:
            try:
                while self._fill(pending, workers):
                    pair = pending.popleft().result()
                    if pair is None or self._taken(pair):
                        break
            finally:
                self._over.set()
        compare = self.compare
        if compare.state == "running":
            compare.state = "interrupted" if self.interrupts.event.is_set() else "complete"
        compare.word = outcome_of(compare).word
        self.folder.write(compare)

    def _fill(self, pending: deque[Future[Pair | None]], workers: ThreadPoolExecutor) -> bool:
        """Let as many pairs be made as are wanted now; False if there is none."""
        compare = self.compare
        wanted = compare.asked.pairs_max - len(compare.counted)
        while len(pending) < min(self.jobs, wanted) and not self.interrupts.event.is_set():
            pending.append(workers.submit(self._pair, len(compare.pairs) + len(pending) + 1))
        return bool(pending)

    def _taken(self, pair: Pair) -> bool:
        """Store a pair; True if no more are needed."""
        compare = self.compare
        compare.pairs.append(pair)
        last = compare.pairs[-VOID_PAIRS_MAX:]
        if pair.void.startswith(_LEFT_BEHIND):
            compare.state, compare.reason = "stopped", pair.void
        elif len(last) == VOID_PAIRS_MAX and all(one.void for one in last):
            void = plural(VOID_PAIRS_MAX, "pair")
            compare.state = "stopped"
            compare.reason = f"{void} in a row said nothing, the last because {pair.void}"
        outcome = outcome_of(compare)
        compare.word = outcome.word
        self.folder.write(compare)
        self.seen(pair, outcome)
        return outcome.decided or compare.state == "stopped"

    def _ended(self) -> bool:
        return self._over.is_set() or self.interrupts.event.is_set()

    def _pair(self, number: int) -> Pair | None:
        """Make both runs of a pair, again where one says nothing; None if it was cut off."""
        asked = self.compare.asked
        plans = plans_of(asked, self.targets, number)
        void: list[str] = []
        arms: dict[Side, Arm] = {}
        while len(void) < ATTEMPTS_MAX:
            arms, why = self._attempt(number, plans)
            if self._ended():
                return None
            if not why:
                break
            void.append(why)
            if why.startswith(_LEFT_BEHIND):
                break
        counts = len(arms) == 2
        return Pair(
            number=number,
            seed=asked.pair_seed(number),
            schedule_hash=plans.schedule.hash,
            first=asked.order(number)[0],
            base=arms.get("base"),
            candidate=arms.get("candidate"),
            void="" if counts else void[-1],
            again=void if counts else void[:-1],
        )

    def _attempt(self, number: int, plans: Plans) -> tuple[dict[Side, Arm], str]:
        """(both runs, "") or ({}, why the pair says nothing)."""
        arms: dict[Side, Arm] = {}
        for side in self.compare.asked.order(number):
            if self._ended():
                return {}, "it was interrupted"
            try:
                arm = self._made(plans.of[side], plans.schedule)
            except UsageError:
                raise
            except ChaosError as error:
                return {}, f"the {side} could not be run: {error.message}"
            if arm.exit_code == ExitCode.CLEANUP_INCOMPLETE:
                return {}, f"{_LEFT_BEHIND}: {self.folder.path / arm.run}"
            if arm.score.value is None:
                return {}, f"the run of the {side} says nothing: {arm.score.why} ({arm.run})"
            arms[side] = arm
        return arms, ""

    def _made(self, plan: Plan, schedule: Schedule) -> Arm:
        prepared = prepare(plan, schedule, self.folder.path, Display("quiet", page=False))
        limit_s = plan.guardrails.run_budget_s + _MARGIN_S
        code = run_child(prepared, self.interrupts, limit_s, silent=True)
        run = prepared.run
        place = self.folder.relative(run)
        if not run.verdict.is_file():
            score = Score(value=None, why=f"exit {code} without a verdict")
            return Arm(run=place, score=score, verdict="none", exit_code=code, lasted_s=0.0)
        verdict = load(run).verdict
        if verdict.verdict != "pass":
            write_page(run, run.path / FORMATS["html"].file)
        score = score_of(run, self.compare.asked.score)
        return Arm(
            run=place,
            score=score,
            verdict=verdict.verdict,
            exit_code=code,
            lasted_s=verdict.lasted_s,
        )
