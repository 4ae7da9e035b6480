"""Growth of something that is counted (descriptors, threads, sockets), against a tolerance.

The tolerance is a rise over the judged span; as a rate it is spread over that span's time, and
over the requests completed in it, and both must hold. Knows no signal.
"""

from dataclasses import dataclass, replace

from chaos.checks.finding import Outcome
from chaos.checks.growth.lives import Life, lives_of, speaking
from chaos.checks.growth.trend import BLOCKS_MIN, WORK_STEPS_MIN, growth
from chaos.record.open_run import OpenRun


@dataclass(frozen=True)
class Counted:
    """One signal, judged. `rise`: floor at last less floor at first; `fails_from_per_s`: the
    smallest growth that would have broken the limit, None with too little evidence.
    """

    name: str
    outcome: Outcome
    text: str
    rise: float
    fails_from_per_s: float | None = None

    @property
    def enough(self) -> bool:
        """Whether there was enough to judge by."""
        return self.fails_from_per_s is not None


def judged_count(run: OpenRun, signal: str, name: str, tolerance: float) -> Counted | None:
    """`signal`, called `name`; None when it was never sampled."""
    lives = lives_of(run, signal)
    if not lives:
        return None
    _, counted, others = speaking(lives, lambda life: judged_life(life, name, tolerance))
    return replace(counted, text=counted.text + others)


def judged_life(life: Life, name: str, tolerance: float) -> Counted:
    """One life of a signal."""
    rise, blocks = life.rise, life.blocks
    if len(blocks) < BLOCKS_MIN:
        text = f"{name} {rise:+g}, but only {len(blocks)} usable blocks of {BLOCKS_MIN}"
        return Counted(name, "inconclusive", text, rise)
    start_s, end_s = life.span_s
    by_time = growth(blocks, tolerance / (end_s - start_s), per_work=False, whole=True)
    judged = [(by_time, 3600.0, "hour")]
    worked = blocks[-1].work - blocks[0].work
    if worked > 0 and len({block.work for block in blocks}) >= WORK_STEPS_MIN:
        by_work = growth(blocks, tolerance / worked, per_work=True, whole=True)
        judged.append((by_work, 1.0, "request"))
    text = f"{name} {life.first:g} -> {life.last:g} (peak {life.peak:g}), "
    text += ", ".join(found.text(scale, unit) for found, scale, unit in judged)
    outcome, why = _decided([found.verdict for found, _, _ in judged], rise, tolerance)
    return Counted(name, outcome, text + why, rise, by_time.fails_from)


def _decided(verdicts: list[Outcome], rise: float, tolerance: float) -> tuple[Outcome, str]:
    if "fail" in verdicts:
        return "fail", ": grows"
    if rise > tolerance:
        return "inconclusive", f": rose by {rise:g} and stands"
    # A lone doubt is that of a noisy signal: what counts is that its floor did not rise.
    if rise > tolerance / 2 and "inconclusive" in verdicts:
        return "inconclusive", ": too noisy to tell"
    return "pass", ""
