"""A comparison as text: its plan, a line for each pair, its end, the command that repeats it."""

import math
import shlex

from chaos.base.units import duration_text
from chaos.checks.finding import plural
from chaos.compare.outcome import MARKS, Outcome
from chaos.compare.state import Arm, Compare, CompareDir, Pair
from chaos.plan.plan import Plan

_BAR = 12  # cells
_VOID_MAX = 5


def plan_text(compare: Compare, plan: Plan) -> str:
    """What is compared, by what, and how long it takes at most; `plan` of the first pair."""
    asked = compare.asked
    run_s = plan.profile.baseline_s + plan.profile.storm_s + plan.profile.quiet_s
    longest = duration_text(2 * run_s * asked.pairs_max)
    return (
        f"base {asked.base}, candidate {asked.candidate}\n"
        f"{asked.soak} {plan.profile_name}, faults {', '.join(asked.faults) or 'none'}, "
        f"score {asked.score}, margin {asked.margin:g}, alpha {asked.alpha:g}, seed {asked.seed}\n"
        f"from {asked.pairs_min} to {plural(asked.pairs_max, 'pair')} of runs, "
        f"{longest} of run time at most"
    )


def bar_text(capital: float, alpha: float) -> str:
    """'[####........] 2.1': how far a capital has come toward its decision, and the capital."""
    share = math.log(max(capital, 1.0)) / -math.log(alpha)
    full = min(_BAR, int(_BAR * share))
    return f"[{'#' * full}{'.' * (_BAR - full)}] {capital:.2g}"


def pair_line(compare: Compare, pair: Pair, outcome: Outcome) -> str:
    """One pair, and how far both decisions are."""
    if pair.void:
        return f"pair {pair.number:>3}  void: {pair.void}"
    found, alpha = outcome.evidence, compare.asked.alpha
    again = f"  (made {len(pair.again) + 1} times)" if pair.again else ""
    text = (
        f"pair {pair.number:>3}  base {score_text(pair.base)}  candidate "
        f"{score_text(pair.candidate)}  difference {pair.difference:+.2f}  "
        f"PASS {bar_text(found.pass_capital, alpha)}  BLOCK {bar_text(found.block_capital, alpha)}"
        f"{again}"
    )
    return "\n".join([text, *(f"    newly lost or doubled: {what}" for what in pair.newly_lost)])


def score_text(arm: Arm | None) -> str:
    """'0.67', '-' without a score."""
    return "-" if arm is None or arm.score.value is None else f"{arm.score.value:.2f}"


def final_text(folder: CompareDir, compare: Compare, outcome: Outcome) -> str:
    """The end of a comparison: its word, the numbers behind it, and what to do next."""
    found, asked = outcome.evidence, compare.asked
    void = [pair for pair in compare.pairs if pair.void]
    again = sum(len(pair.again) for pair in compare.pairs)
    lines = ["", f"{MARKS[outcome.word]} {outcome.word}  {outcome.reason}  (exit {outcome.code})"]
    lines += [f"  blocked by {text}" for text in outcome.blocked_by]
    counted = plural(len(compare.counted), "pair")
    lines.append(f"  pairs      {counted} counted, {len(void)} void, {again} attempts repeated")
    lines += [f"    pair {pair.number} is void: {pair.void}" for pair in void[:_VOID_MAX]]
    if compare.counted:
        base, candidate = outcome.scores
        lines.append(f"  scores     base {base:.3f}, candidate {candidate:.3f} on average")
        lines.append(
            f"  difference {found.mean:+.3f} on average, between {found.low:+.3f} and "
            f"{found.high:+.3f} (confidence {1 - 2 * asked.alpha:.0%}, at every moment)"
        )
        capitals = f"PASS {found.pass_capital:.3g}, BLOCK {found.block_capital:.3g}"
        lines.append(f"  evidence   {capitals}, decided at {1 / asked.alpha:g}")
    lines.append(f"  compare    {folder.path}")
    lines.append(f"  report     {folder.page}")
    if compare.state in ("interrupted", "stopped"):
        lines.append(f"  go on      chaos compare --resume {shlex.quote(str(folder.path))}")
    lines.append(f"  reproduce  {command_of(compare)}")
    return "\n".join(lines)


def command_of(compare: Compare) -> str:
    """The command that makes this comparison again."""
    asked = compare.asked
    words = ["chaos", "compare", asked.base, asked.candidate, "--soak", asked.soak]
    words += ["--profile", asked.profile] if asked.profile else []
    for fault in asked.faults:
        words += ["--fault", fault]
    for text in asked.overrides:
        words += ["--set", text]
    words += ["--score", asked.score] if asked.score != "survived" else []
    words += ["--margin", f"{asked.margin:g}", "--alpha", f"{asked.alpha:g}"]
    words += ["--pairs-min", str(asked.pairs_min), "--pairs-max", str(asked.pairs_max)]
    words += ["--backend", asked.backend] if asked.backend != "local" else []
    return shlex.join([*words, "--seed", str(asked.seed)])
