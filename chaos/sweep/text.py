"""A sweep as text: its plan, and its end."""

from collections.abc import Sequence

from chaos.base.units import duration_text
from chaos.checks.finding import plural
from chaos.record.batch_list import sweep_word
from chaos.sweep.again import command_of
from chaos.sweep.request import Break
from chaos.sweep.state import MARKS, OUTCOMES, Result, Sweep, SweepDir

_WORST_MAX = 20
_GLYPHS = {"SURVIVED": "✓", "NOT CRASH-SAFE": "✗"}
OVERHEAD_S = 9.0  # of a run: provisioning, halt and judgement


def points_text(sweep: Sweep) -> str:
    """The points with the moment of each, and what the two controls did not agree on."""
    lines = []
    for point in sweep.points:
        lines.append(
            f"  {point.number:>3}  {point.after_s:7.3f} s  {point.call:<9}{point.path}  "
            f"({point.work}, {point.role})"
        )
    lines += [f"  only one of two controls had it, left out: {text}" for text in sweep.differs]
    return "\n".join(lines)


def plan_text(sweep: Sweep, all_breaks: Sequence[Break], jobs: int) -> str:
    """How much is to be done, and about how long it takes."""
    by_work = {point.number: point.work for point in sweep.points}
    seconds = sum(
        OVERHEAD_S + sweep.control_s.get(by_work[one.point.number], 0.0) for one in all_breaks
    )
    kinds = ", ".join(dict.fromkeys(one.column for one in all_breaks))
    return (
        f"{plural(len(sweep.points), 'point')}, {plural(len(all_breaks), 'run')} ({kinds}), "
        f"about {duration_text(seconds / jobs)}"
    )


def outcome_counts(results: Sequence[Result]) -> dict[str, int]:
    """Outcome -> how often, worst first."""
    counts = {word: sum(result.outcome == word for result in results) for word in OUTCOMES}
    return {word: count for word, count in counts.items() if count}


def result_line(sweep: Sweep, result: Result) -> str:
    """One result: where, what, and why."""
    point = next(point for point in sweep.points if point.number == result.point)
    found = "; ".join(result.findings) or result.reason
    return f"{MARKS[result.outcome]} {result.column:<12}{point.text} ({point.role}): {found}"


def final_text(folder: SweepDir, sweep: Sweep, code: int) -> str:
    """The end of a sweep: what did not survive, worst first, the counts, and what to do next."""
    worst = worst_first(sweep)
    lines = []
    for result in worst[:_WORST_MAX]:
        lines.append(f"{result.outcome}: {result_line(sweep, result)}")
        if result.run:
            lines.append(f"    {folder.path / result.run}")
    if len(worst) > _WORST_MAX:
        lines.append(f"and {len(worst) - _WORST_MAX} more: {folder.state}")
    counts = ", ".join(f"{count} {word}" for word, count in outcome_counts(sweep.results).items())
    lines += ["", f"{verdict_word(sweep)}  {counts or 'no break was tried'}  (exit {code})"]
    if sweep.reason:
        lines.append(f"  why        {sweep.reason}")
    lines.append(f"  sweep      {folder.path}")
    lines.append(f"  report     {folder.page}")
    lines.append(f"  seed       {sweep.asked.seed}")
    if sweep.state == "interrupted":
        lines.append(f"  go on      chaos sweep --resume {folder.path}")
    elif worst:
        lines.append(f"  next       {command_of(sweep, worst[0])}")
    return "\n".join(lines)


def verdict_word(sweep: Sweep) -> str:
    """The headline: SURVIVED only if every break that was asked for struck and was survived."""
    word = sweep_word(sweep.state, (result.outcome for result in sweep.results))
    return f"{_GLYPHS.get(word, '?')} {word}"


def worst_first(sweep: Sweep) -> list[Result]:
    """The results that did not survive."""
    return sorted(
        (result for result in sweep.results if result.outcome != "survived"),
        key=lambda result: (OUTCOMES.index(result.outcome), result.point),
    )
