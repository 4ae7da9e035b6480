"""A stand-in for the runs of a campaign, and campaigns that are made with it.

`Standin` replaces `chaos.campaign.loop.make_run`, the one function that makes a run: it writes a
run directory with a scripted verdict, where the real one starts the whole stack for a minute.
tests/campaign/test_real_run.py makes a campaign of a real run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from chaos.base.exitcode import ExitCode
from chaos.campaign.asked import planned
from chaos.campaign.attempts import Attempt, attempts_of
from chaos.campaign.loop import Loop, tidy
from chaos.campaign.options import CampaignOptions
from chaos.campaign.state import Campaign, CampaignDir, Common, Entry, begin
from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir, create
from chaos.runner.child import Interrupts
from tests.record.runs_folder import verdict

CODES = {"pass": 0, "fail": 1, "inconclusive": 3, "unverified": 3, "invalid": 4}


class Killed(BaseException):
    """Stands for SIGKILL of the driver: no code after it runs, and only the files remain."""


class Standin:
    """Writes runs. `words`: seed -> the verdicts of its attempts in order; else they pass.

    A word may be a verdict, `left` (passed, and left something behind), `interrupted`, or `none`
    (it ended without a verdict).
    """

    def __init__(self, words: dict[int, list[str]] | None = None) -> None:
        self.words = {seed: list(them) for seed, them in (words or {}).items()}
        self.made: list[int] = []  # the seeds, in the order in which runs began
        self.before: Callable[[int], None] = lambda _seed: None
        self.after: Callable[[int], None] = lambda _seed: None
        self._lock = threading.Lock()

    def __call__(self, plan: Plan, parent: Path, _interrupts: Interrupts) -> tuple[RunDir, int]:
        """What `make_run` does."""
        with self._lock:
            self.made.append(plan.seed)
            waiting = self.words.get(plan.seed, [])
            word = waiting.pop(0) if waiting else "pass"
        self.before(plan.seed)
        run = create(parent, plan.soak, plan.seed)
        run.write_json(run.config, plan.to_json())
        if word == "none":
            return run, -9
        if word == "interrupted":
            return run, ExitCode.INTERRUPTED
        said = "pass" if word == "left" else word
        code = ExitCode.CLEANUP_INCOMPLETE if word == "left" else CODES[said]
        fault = "" if plan.faults[0].control else plan.faults[0].name
        content: Any = verdict(said, soak=plan.soak, fault=fault, exit_code=int(code))
        run.write_json(run.verdict, content)
        self.after(plan.seed)
        return run, int(code)


@cache
def entries(seeds: str = "4", *faults: str) -> tuple[Common, tuple[Entry, ...]]:
    """Planned runs of soak C, really resolved."""
    return planned(CampaignOptions(soak=["soak_c"], fault=list(faults), seeds=seeds))


def begun(
    root: Path, seeds: str = "4", *faults: str, shard: tuple[int, int] | None = None
) -> tuple[CampaignDir, Campaign]:
    """A campaign of which nothing is made yet."""
    return begin(*entries(seeds, *faults), shard, root)


def make(
    folder: CampaignDir,
    campaign: Campaign,
    standin: Standin,
    *,
    slots: int = 1,
    interrupts: Interrupts | None = None,
) -> tuple[Loop, list[Attempt]]:
    """Make what is left, as `chaos campaign --resume` does; the attempts that ended."""
    seen: list[Attempt] = []
    loop = Loop(
        folder, campaign, interrupts or Interrupts(), slots, lambda _entry, one: seen.append(one)
    )
    with (
        mock.patch("chaos.campaign.loop.make_run", standin),
        mock.patch("chaos.campaign.loop.write_page"),  # a process that reads a whole record
    ):
        tidy(folder, campaign, lambda _text: None)
        loop.run()
    return loop, seen


def words_of(folder: CampaignDir, campaign: Campaign) -> dict[int, list[str]]:
    """Index of a run -> the verdicts of its attempts."""
    return {
        entry.index: [made.attempt.verdict for made in attempts_of(folder, entry)]
        for entry in campaign.entries
    }
