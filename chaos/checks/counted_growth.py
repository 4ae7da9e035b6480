"""Growth of something that is counted (descriptors, threads, sockets), against a tolerance.

The tolerance is a rise over the judged span; as a rate it is spread over that span's time, and
over the requests completed in it, and both must hold. Shared by two checks; knows no signal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chaos.checks.finding import Outcome
from chaos.checks.run_view import RunView
from chaos.checks.signal_growth import Signal, blocks_of_signal, lives_of, speaking
from chaos.checks.trend import BLOCKS_MIN, WORK_STEPS_MIN, Growth, growth


@dataclass(frozen=True)
class Counted:
    """One signal, judged. `rise`: floor at last less floor at first; `detectable_per_s`: the
    smallest true growth that would have been seen, None with too little evidence.
    """

    name: str
    outcome: Outcome
    text: str
    rise: float
    detectable_per_s: float | None = None

    @property
    def enough(self) -> bool:
        """Whether there was enough to judge by."""
        return self.detectable_per_s is not None


def judged_count(view: RunView, key: str, name: str, tolerance: float) -> Counted | None:
    """Signal `key`, called `name`; None when it was never sampled."""
    lives = lives_of(view, key)
    if not lives:
        return None
    _, found, again = speaking(lives, lambda life: judged_signal(view, life, name, tolerance))
    return replace(found, text=found.text + again)


def judged_signal(view: RunView, signal: Signal, name: str, tolerance: float) -> Counted:
    """One life of a signal."""
    rise = signal.rise()
    blocks = blocks_of_signal(view, signal)
    if len(blocks) < BLOCKS_MIN:
        text = f"{name} {rise:+g}, but only {len(blocks)} usable blocks of {BLOCKS_MIN}"
        return Counted(name, "inconclusive", text, rise)
    start_s, end_s = signal.span_s
    by_time = growth(blocks, tolerance / (end_s - start_s), per_work=False, whole=True)
    found = [(by_time, 3600.0, "hour")]
    worked = blocks[-1].work - blocks[0].work
    if worked > 0 and len({block.work for block in blocks}) >= WORK_STEPS_MIN:
        found.append(
            (growth(blocks, tolerance / worked, per_work=True, whole=True), 1.0, "request")
        )
    text = f"{name} {_levels(signal)}, " + ", ".join(_rate(*one) for one in found)
    outcome, why = _decided([one.verdict for one, _, _ in found], rise, tolerance)
    return Counted(name, outcome, text + why, rise, by_time.detectable)


def _decided(verdicts: list[Outcome], rise: float, tolerance: float) -> tuple[Outcome, str]:
    if "fail" in verdicts:
        return "fail", ": grows"
    if rise > tolerance:
        return "inconclusive", f": rose by {rise:g} and stands"
    # A lone doubt is that of a noisy signal: what counts is that its floor did not rise.
    if rise > tolerance / 2 and "inconclusive" in verdicts:
        return "inconclusive", ": too noisy to tell"
    return "pass", ""


def _levels(signal: Signal) -> str:
    values = signal.values
    return f"{values[0]:g} -> {values[-1]:g} (peak {values.max():g})"


def _rate(found: Growth, scale: float, unit: str) -> str:
    if found.slope is None or found.detectable is None:
        return f"no rate per {unit}"
    return (
        f"{found.slope.value * scale:+.3g} per {unit} "
        f"(smallest detectable {found.detectable * scale:.3g})"
    )
