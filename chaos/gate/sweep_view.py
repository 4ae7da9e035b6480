"""The crash sweep of a gate as its page shows it: counts, and what did not survive.

The whole is on the page of the sweep. Must not read or write files, except to see which exist.
"""

from dataclasses import dataclass
from urllib.parse import quote

from chaos.gate.state import GateDir, SweepState
from chaos.sweep.again import command_of
from chaos.sweep.page import CSS
from chaos.sweep.state import MARKS, Sweep
from chaos.sweep.text import worst_first

_WORST_MAX = 12


@dataclass(frozen=True)
class Break:
    """A break that was not survived. `css` is the verdict whose colour it has."""

    title: str
    text: str
    css: str
    address: str  # of the report of its run, "" without one
    again: str


@dataclass(frozen=True)
class SweepView:
    """What the page shows. `page` is the address of the page of the sweep, "" without one."""

    entry: SweepState
    page: str
    worst: list[Break]
    more: int  # breaks that were not survived and are not in `worst`


def sweep_view(folder: GateDir, entry: SweepState | None, sweep: Sweep | None) -> SweepView | None:
    """The view; None if the gate's file asks for no sweep. `sweep` None: it was not begun."""
    if entry is None:
        return None
    place = folder.sweep(entry)
    if sweep is None or place is None:
        return SweepView(entry, "", [], 0)
    points = {point.number: point for point in sweep.points}
    found = worst_first(sweep)
    worst = []
    for result in found[:_WORST_MAX]:
        point = points[result.point]
        report = f"{result.run}/report.html"
        has_report = bool(result.run) and (place.path / report).is_file()
        worst.append(
            Break(
                title=f"{MARKS[result.outcome]} {result.outcome}: {result.column} at {point.text}",
                text="; ".join(result.findings) or result.reason,
                css=CSS[result.outcome],
                address=quote(f"{entry.sweep}/{report}") if has_report else "",
                again=command_of(sweep, result),
            )
        )
    page = quote(f"{entry.sweep}/{place.page.name}") if place.page.is_file() else ""
    return SweepView(entry, page, worst, len(found) - len(worst))
