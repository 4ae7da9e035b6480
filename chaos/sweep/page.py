"""`sweep.html`: the life of a request with a mark for each break, and what failed.

The look is that of the page of a run. Must not read or write files, except to see which exist.
"""

from dataclasses import dataclass
from urllib.parse import quote

from chaos.report.pages import page_text
from chaos.sweep.again import command_of
from chaos.sweep.points import Point
from chaos.sweep.state import MARKS, OUTCOMES, Outcome, Result, Sweep, SweepDir
from chaos.sweep.text import outcome_counts, verdict_word

CSS: dict[Outcome, str] = {
    "survived": "pass",
    "failed": "fail",
    "not reached": "inconclusive",
    "unverified": "unverified",
    "invalid": "invalid",
}
_MEANING = {
    "SURVIVED": "the daemon survived every break that was tried",
    "NOT CRASH-SAFE": "at least one break lost, doubled or corrupted work",
    "NOT PROVEN": "no break did harm, and not every one could be judged",
    "NOT FINISHED": "not every break was tried",
}
_LIMITS = (
    "Points are those of one piece of work: the start of the daemon and its halt are not swept.",
    "A kill comes before a call: after the last call of a piece there is no point.",
    "power: files cut back to their last fsync, and renames undone whose folder was not synced. "
    "Not explored: a rename over an existing file that is undone, an unlink that is undone, writes "
    "that reach the disk out of order, a durable size with content that is not, files that were "
    "only appended to and never synced.",
    "error: each call fails once, with the errors that were asked for.",
)


@dataclass(frozen=True)
class Cell:
    """One break. `address`: the page of its run, else its folder; `again` repeats it."""

    point: Point
    result: Result
    css: str
    sign: str
    text: str
    address: str
    again: str


def sweep_page(folder: SweepDir, sweep: Sweep, code: int) -> str:
    """The page of a sweep, finished or not."""
    points = {point.number: point for point in sweep.points}
    cells = {
        (result.column, result.point): _cell(folder, sweep, points[result.point], result)
        for result in sweep.results
    }
    columns = list(dict.fromkeys(result.column for result in sweep.results))
    worst = sorted(
        (cell for cell in cells.values() if cell.result.outcome != "survived"),
        key=lambda cell: (OUTCOMES.index(cell.result.outcome), cell.point.number),
    )
    word = verdict_word(sweep)[2:]
    works: dict[str, list[Point]] = {}
    for point in sweep.points:
        works.setdefault(point.work, []).append(point)
    return page_text(
        "sweep.html.jinja",
        package="chaos.sweep",
        style="sweep.css.jinja",
        sweep=sweep,
        word=word,
        css={"SURVIVED": "pass", "NOT CRASH-SAFE": "fail"}.get(word, "inconclusive"),
        meaning=_MEANING[word],
        code=code,
        counts=list(outcome_counts(sweep.results).items()),
        columns=columns,
        lives=[
            (work, line, [(word, [cells.get((word, p.number)) for p in line]) for word in columns])
            for work, line in works.items()
        ],
        table=[
            (point, [cells.get((column, point.number)) for column in columns])
            for point in sweep.points
        ],
        worst=worst,
        limits=_LIMITS,
        command=command_of(sweep),
    )


def _cell(folder: SweepDir, sweep: Sweep, point: Point, result: Result) -> Cell:
    page = f"{result.run}/report.html"
    here = page if result.run and (folder.path / page).is_file() else result.run
    found = "; ".join(result.findings) or result.reason
    return Cell(
        point=point,
        result=result,
        css=CSS[result.outcome],
        sign=MARKS[result.outcome],
        text=f"{result.outcome}: {result.column} at {point.text}. {found}",
        address=quote(here),
        again=command_of(sweep, result),
    )
