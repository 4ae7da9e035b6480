"""Which strikes of a failing run does its failure need? Pure: `ask` makes the runs.

A failure comes again only with some rate, so one run proves nothing. Each question ("does it still
come with these strikes alone?") is put to a sequential probability ratio test (Wald, 1945) of p0,
it comes by chance, against p1, it comes nearly as often as with all strikes.

1. All strikes are repeated until the failure has come `HITS` times: that gives its rate. One that
   is too rare cannot be shrunk, and the answer says so.
2. Halving: the shortest beginning of the list that still fails ends with a needed strike; the same
   again for what stands before it. These questions are cheap and may err: too many strikes stay.
3. The last pass takes each strike away once more and then asks whether the result itself fails.
   The error bound is shared among these questions alone (union bound), since every wrong answer
   before them is seen here: too many strikes are removed, a lost cause no longer fails.

Taken for granted: a strike more never prevents the failure, and runs do not influence each other.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

HITS = 6
RATE_RUNS_MAX = 45  # a failure that is rarer than about one run in seven cannot be shrunk
RATE_PART = 0.6  # p1 as a part of the measured rate, which may be too high
CHANCE_PART = 0.1  # p0 as a part of p1
SEARCH_ERROR = 0.05  # of a question of the halving
RUNS_MAX = 1000  # of the whole answer
Ask = Callable[[Sequence[int]], bool]
Ending = Literal["found", "too rare", "not reproduced", "lost", "too many runs"]


class RunsUsedUp(Exception):
    """The limit of runs was reached in the middle of a question."""


@dataclass
class RatioTest:
    """Wald's test of "it comes with rate p0" against "with rate p1"; `error` of either answer."""

    p0: float
    p1: float
    error: float
    log_ratio: float = 0.0

    def add(self, hit: bool) -> bool | None:
        """Take one more run; True for p1, False for p0, None while it is open."""
        likely, chance = (self.p1, self.p0) if hit else (1 - self.p1, 1 - self.p0)
        self.log_ratio += math.log(likely / chance)
        limit = -math.log(self.error)  # a ratio so large is seen by chance so rarely (Markov)
        return None if abs(self.log_ratio) < limit else self.log_ratio > 0


@dataclass(frozen=True)
class Answer:
    """`needed`: the strikes, if `ending` is "found"; `error` bounds the chance that one of them is
    not needed or that they do not suffice, as long as the failure is no rarer than `p1` with all
    that it needs and no more frequent than `p0` without.
    """

    ending: Ending
    needed: tuple[int, ...]
    rate: float  # measured, with all strikes
    p0: float
    p1: float
    error: float
    runs: int


@dataclass
class Shrink:
    """One answer. `ask` makes one run with some strikes: did the same finding fail again?"""

    strikes: Sequence[int]
    ask: Ask
    error: float = 0.02
    runs_max: int = RUNS_MAX
    runs: int = field(default=0, init=False)
    p1: float = field(default=0.0, init=False)

    def answer(self) -> Answer:
        """Find the strikes that the failure needs."""
        hits = 0
        needed: list[int] = []
        ending: Ending = "found"
        try:
            while hits < HITS and self.runs < RATE_RUNS_MAX:
                hits += self._run(self.strikes)
            rate = hits / self.runs
            if hits < HITS:
                ending = "too rare" if hits else "not reproduced"
            else:
                self.p1 = RATE_PART * rate
                needed, holds = self._checked(self._halved())
                ending = "found" if holds else "lost"
        except RunsUsedUp:
            ending, rate = "too many runs", hits / max(self.runs, 1)
        found = tuple(needed) if ending == "found" else ()
        p0 = CHANCE_PART * self.p1
        return Answer(ending, found, rate, p0, self.p1, self.error, self.runs)

    def _run(self, strikes: Sequence[int]) -> bool:
        if self.runs >= self.runs_max:
            raise RunsUsedUp
        self.runs += 1
        return self.ask(strikes)

    def _fails(self, strikes: Sequence[int], error: float) -> bool:
        """Whether it still comes with these strikes."""
        test = RatioTest(CHANCE_PART * self.p1, self.p1, error)
        while True:
            if (found := test.add(self._run(strikes))) is not None:
                return found

    def _halved(self) -> list[int]:
        """Strikes that are enough; perhaps more than are needed. In the order of the schedule."""
        kept: list[int] = []
        before = list(self.strikes)
        while before and not self._fails(kept, SEARCH_ERROR):
            low, high = 1, len(before)  # the shortest beginning that fails has so many
            while low < high:
                middle = (low + high) // 2
                if self._fails(before[:middle] + kept, SEARCH_ERROR):
                    high = middle
                else:
                    low = middle + 1
            kept.insert(0, before[high - 1])
            before = before[: high - 1]
        return kept

    def _checked(self, kept: list[int]) -> tuple[list[int], bool]:
        """(the strikes without those that are not needed, whether they still suffice)."""
        error = self.error / (len(kept) + 1)  # as many questions as there are, and the last one
        for strike in list(kept):
            rest = [other for other in kept if other != strike]
            if self._fails(rest, error):
                kept = rest
        return kept, self._fails(kept, error)
