"""`chaos compare plan`: how many pairs a comparison will need, simulated from recorded runs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode
from chaos.checks.finding import plural
from chaos.compare.asked import asked_of
from chaos.compare.evidence import log_capitals
from chaos.compare.options import CompareOptions
from chaos.compare.score import score_of
from chaos.compare.state import Asked
from chaos.record.rundir import RunDir
from chaos.report.stored import load

TRIALS = 500
RUNS_MAX = 2000
_SEED = 1
_LOOK_BELOW = ("*", "*/*", "*/*/*")
_Floats = NDArray[np.float64]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What to expect of one case. Pairs are those of the trials that are decided as they should."""

    case: str
    word: str
    share: float  # of the trials that end with `word` in time
    median_pairs: float | None
    most_pairs: float | None  # 90 % of them need no more
    median_hours: float | None
    most_hours: float | None


def plan(options: CompareOptions) -> int:
    """Print the forecasts. Raises `UsageError` where no run has a score."""
    asked = asked_of(CompareOptions(**{**vars(options), "arms": ["base", "candidate"]}))
    scores, lasted_s, void = recorded(options.arms[1:], asked)
    found = forecasts(scores, float(np.mean(lasted_s)), asked)
    if options.json:
        content: dict[str, Any] = {
            "runs": len(scores),
            "void": void,
            "mean_score": float(np.mean(scores)),
            "forecasts": msgspec.to_builtins(found),
        }
        print(json.dumps(content, indent=2, sort_keys=True))
        return ExitCode.PASS
    print(
        f"{plural(len(scores), 'run')}, {asked.score} {np.mean(scores):.3f} on average, "
        f"{np.mean(lasted_s):.0f} s each; {len(void)} said nothing\n"
        f"margin {asked.margin:g}, alpha {asked.alpha:g}, at most {asked.pairs_max} pairs; "
        f"{TRIALS} simulated comparisons each"
    )
    for one in found:
        print(f"  {one.case:<28}{_text(one)}")
    if len(scores) < 20:
        print(
            f"  {plural(len(scores), 'run')} say little about rare failures: 20 or more are better"
        )
    return ExitCode.PASS


def _text(one: Forecast) -> str:
    if one.median_pairs is None or one.median_hours is None:
        return f"{one.word} never in time"
    return (
        f"{one.word} in {one.share:.0%}: median {one.median_pairs:.0f} pairs "
        f"({one.median_hours:.1f} h), 90 % within {one.most_pairs:.0f} ({one.most_hours:.1f} h)"
    )


def recorded(names: Iterable[str], asked: Asked) -> tuple[list[float], list[float], list[str]]:
    """(scores, lengths in seconds, what said nothing and why) of the runs in these folders."""
    scores, lasted_s, void = [], [], []
    for run in _runs(names):
        try:
            score = score_of(run, asked.score)
            seconds = load(run).verdict.lasted_s
        except ChaosError as error:
            void.append(f"{run.path}: {error.message}")
            continue
        if score.value is None:
            void.append(f"{run.path}: {score.why}")
            continue
        scores.append(score.value)
        lasted_s.append(seconds)
    if not scores:
        raise UsageError(
            f"no run with a score is there; {plural(len(void), 'run')} said nothing"
            + (f", the first: {void[0]}" if void else ""),
            place="chaos compare plan",
            next_step="name folders of judged runs of the base: chaos compare plan runs/soak_b",
        )
    return scores, lasted_s, void


def _runs(names: Iterable[str]) -> list[RunDir]:
    found: dict[Path, RunDir] = {}
    for name in names:
        folder = Path(name)
        if not folder.is_dir():
            raise UsageError(
                f"no such folder: {name}",
                place="chaos compare plan",
                next_step="name a run, or a folder of runs",
            )
        paths = [folder, *(path for below in _LOOK_BELOW for path in sorted(folder.glob(below)))]
        for path in paths:
            if (path / "verdict.json").is_file() and not path.is_symlink():
                found[path.resolve()] = RunDir(path.resolve())
    return list(found.values())[:RUNS_MAX]


def forecasts(scores: list[float], run_s: float, asked: Asked) -> list[Forecast]:
    """Simulated comparisons: with the same daemon, and with one that is worse by twice the margin.

    Pairs are drawn without what the runs of a pair have in common, so both take rather longer here
    than in fact. The worse daemon loses everything in some of its runs, as a crash does.
    """
    random = np.random.default_rng(_SEED)
    pool = np.array(scores, dtype=np.float64)
    shape = (TRIALS, asked.pairs_max)
    base, same = random.choice(pool, shape), random.choice(pool, shape)
    loss = 2 * asked.margin
    lost = random.random(shape) < loss / max(float(pool.mean()), loss)
    worse = np.where(lost, 0.0, random.choice(pool, shape))
    cases = (("the same daemon", "PASS", same), (f"one worse by {loss:g}", "BLOCK", worse))
    return [_forecast(case, word, other - base, run_s, asked) for case, word, other in cases]


def _forecast(case: str, word: str, differences: _Floats, run_s: float, asked: Asked) -> Forecast:
    values = (differences + 1) / 2
    needed = {
        "PASS": _pairs(values, (1 - asked.margin) / 2, asked),
        "BLOCK": _pairs(1 - values, (1 + asked.margin) / 2, asked),
    }
    mine, other = needed.pop(word), next(iter(needed.values()))
    ended = mine[(mine <= asked.pairs_max) & (mine <= other)]
    median, most = np.quantile(ended, (0.5, 0.9)) if ended.size else (None, None)
    hours = 2 * run_s / 3600
    return Forecast(
        case=case,
        word=word,
        share=ended.size / TRIALS,
        median_pairs=None if median is None else float(median),
        most_pairs=None if most is None else float(most),
        median_hours=None if median is None else float(median) * hours,
        most_hours=None if most is None else float(most) * hours,
    )


def _pairs(values: _Floats, mean: float, asked: Asked) -> NDArray[np.int64]:
    """After how many pairs each trial (row) is decided; one more than there are for never."""
    reached = np.array([log_capitals(row, mean) for row in values]) >= -np.log(asked.alpha)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, asked.pairs_max + 1)
    return np.maximum(first, asked.pairs_min)
