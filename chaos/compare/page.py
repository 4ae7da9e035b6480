"""`compare.html`: the verdict, how the evidence grew, and every pair with its runs.

The look is that of the page of a run. Must not read or write files, except to see which exist.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from chaos.compare.evidence import log_capitals
from chaos.compare.outcome import Outcome
from chaos.compare.state import Arm, Compare, CompareDir, Pair
from chaos.compare.text import command_of, score_text
from chaos.report.pages import page_text

_CSS = {"PASS": "pass", "BLOCK": "fail", "INCONCLUSIVE": "inconclusive"}
_WIDTH, _HEIGHT = 640, 160  # of the chart, in its own units
_LIMITS = (
    "The error rates hold for the soak, the faults and the machine of these runs, and for runs "
    "that do not influence each other.",
    "A strike counts only if its effect was proven. Runs that say nothing are left out; if the "
    "candidate makes them more often than the base, the score does not see it.",
    "A newly lost or doubled request blocks at once, outside of the error rate: a base that itself "
    "loses one now and then would sooner or later block its own copy.",
)


@dataclass(frozen=True)
class Cell:
    """One run of a pair. `address`: its page, else its folder."""

    arm: Arm
    text: str
    address: str


def compare_page(folder: CompareDir, compare: Compare, outcome: Outcome) -> str:
    """The page of a comparison, finished or not."""
    asked = compare.asked
    differences = [pair.difference for pair in compare.counted]
    return page_text(
        "compare.html.jinja",
        package="chaos.compare",
        style="compare.css.jinja",
        compare=compare,
        asked=asked,
        outcome=outcome,
        found=outcome.evidence,
        css=_CSS[outcome.word],
        confidence=f"{1 - 2 * asked.alpha:.0%}",
        void=[pair for pair in compare.pairs if pair.void],
        rows=[_row(folder, pair) for pair in compare.pairs],
        chart=chart(differences, asked.margin, asked.alpha),
        limits=_LIMITS,
        command=command_of(compare),
        size=(_WIDTH, _HEIGHT),
    )


def _row(folder: CompareDir, pair: Pair) -> tuple[Pair, str, list[Cell | None]]:
    difference = "" if pair.void else f"{pair.difference:+.2f}"
    return pair, difference, [_cell(folder, arm) for arm in (pair.base, pair.candidate)]


def _cell(folder: CompareDir, arm: Arm | None) -> Cell | None:
    if arm is None:
        return None
    page = f"{arm.run}/report.html"
    here = page if (folder.path / page).is_file() else arm.run
    return Cell(arm, score_text(arm), quote(here))


def chart(differences: Sequence[float], margin: float, alpha: float) -> dict[str, str]:
    """Points of the two lines 'pass' and 'block' and the height of the decision, for an SVG.

    Up is the log of the capital; the lower edge is a capital of a hundredth.
    """
    values = (np.array(differences, dtype=np.float64) + 1) / 2
    decision = -math.log(alpha)
    lowest = -math.log(100)
    highest = decision * 1.2

    def height(log: float) -> float:
        share = (min(max(log, lowest), highest) - lowest) / (highest - lowest)
        return round(_HEIGHT * (1 - share), 1)

    def points(logs: Sequence[float]) -> str:
        step = _WIDTH / max(len(logs), 1)
        shown = enumerate([0.0, *logs])
        return " ".join(f"{round(n * step, 1)},{height(log)}" for n, log in shown)

    return {
        "pass": points([float(x) for x in log_capitals(values, (1 - margin) / 2)]),
        "block": points([float(x) for x in log_capitals(1 - values, (1 + margin) / 2)]),
        "decision": str(height(decision)),
        "start": str(height(0.0)),
    }
