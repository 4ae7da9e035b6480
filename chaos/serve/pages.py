"""The pages that only this server has: the list, a live run, a gate's steps, a batch's runs, ...

Their templates lie beside this module; the look is that of every page.
"""

import os
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, Template
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from chaos.base.below import is_regular
from chaos.base.units import duration_text
from chaos.checks.verdict import Verdict
from chaos.record.batch_list import NAMES, BatchEntry
from chaos.record.gate_list import GateEntry
from chaos.record.run_list import Listing, RunEntry, noun_of, utc_text
from chaos.report.course import PANELS
from chaos.report.pages import engine, json_data, vendored
from chaos.serve.compare import pairs
from chaos.serve.index import PAGE_RUNS, Filter, choices, matrix, page_number
from chaos.serve.live import LiveRun, panels

_GATES_SHOWN = 12
_BATCHES_SHOWN = 12
_FILES_SHOWN = 60
_SCRIPTS = ("plot.js", "live.js", "compare.js", "index.js")
_TONES = {
    **{"PRODUCTION-READY": "pass", "NEEDS FIXES": "fail", "NOT PROVEN": "unverified"},
    **{"SURVIVED": "pass", "NOT CRASH-SAFE": "fail", "NOT FINISHED": "unverified"},
    **{"PASS": "pass", "FAIL": "fail", "BLOCK": "fail", "INCONCLUSIVE": "inconclusive"},
}


def index(root: Path, listing: Listing, wanted: Filter, number: str) -> Response:
    """The list of runs, gates and batches."""
    found = [run for run in listing.runs if wanted.matches(run)]
    page, of = page_number(number, len(found))
    first = (page - 1) * PAGE_RUNS
    return _page(
        "index.html.jinja",
        root=str(root),
        runs=found[first : first + PAGE_RUNS],
        first=first,
        found=len(found),
        total=len(listing.runs),
        running=[run for run in listing.runs if run.state == "running"],
        matrix=matrix(found),
        gates=listing.gates[:_GATES_SHOWN] if wanted == Filter() else [],
        gates_total=len(listing.gates),
        batches=listing.batches[:_BATCHES_SHOWN] if wanted == Filter() else [],
        batches_total=len(listing.batches),
        problems=listing.problems,
        wanted=wanted,
        choices=choices(listing.runs),
        page=page,
        pages=of,
    )


def live(root: Path, run: RunEntry, state: LiveRun) -> Response:
    """A run as it goes on; without scripts, as it is now."""
    return _page(
        "live.html.jinja",
        run=run,
        state=state.update(),
        data=json_data(
            {
                "panels": panels(*PANELS),
                "planned": state.planned,
                "events": f"{href(run.id)}/events",
            }
        ),
        files=_names(root / run.id),
        has_page=run.state == "judged" and is_regular(root, f"{run.id}/report.html"),
    )


def gate(listing: Listing, entry: GateEntry) -> Response:
    """A gate that has no page of its own: its steps."""
    runs = {run.id: run for run in listing.runs}
    return _page("gate.html.jinja", gate=entry, runs=runs)


def batch(entry: BatchEntry, runs: Sequence[RunEntry], page: str) -> Response:
    """A batch that goes on or has no page of its own: its counts and its runs.

    `page`: the file of its page so far, "" without one.
    """
    return _page("batch.html.jinja", batch=entry, runs=runs, page=page)


def compare(
    runs: tuple[RunEntry, RunEntry],
    verdicts: tuple[Verdict, Verdict],
    overlay: dict[str, Any],
    problem: str,
) -> Response:
    """Two runs beside each other."""
    found = pairs(*verdicts)
    return _page(
        "compare.html.jinja",
        runs=runs,
        verdicts=verdicts,
        pairs=found,
        swapped=_compared(runs[1], runs[0]),
        differ=sum(pair.differs for pair in found),
        overlay=overlay,
        data=json_data(overlay),
        problem=problem,
    )


def missing(text: str) -> Response:
    """What was asked for is not here."""
    return _page(
        "problem.html.jinja", status=404, title="Not found", text=text, run_id="", files=[]
    )


def problem(root: Path, text: str, run_id: str = "") -> Response:
    """A run that cannot be shown: why, and its files."""
    return _page(
        "problem.html.jinja",
        title="Cannot be shown",
        text=text,
        run_id=run_id,
        files=_names(root / run_id) if run_id else [],
    )


def run_bar(listing: Listing, run: RunEntry) -> str:
    """The links from the page of a run to its neighbours, as markup."""
    alike = [one for one in listing.runs if (one.soak, one.fault) == (run.soak, run.fault)]
    place = next((n for n, one in enumerate(alike) if one.id == run.id), 0)
    before = next((one for one in alike[place + 1 :] if one.state == "judged"), None)
    listed = not run.batch  # the runs of a batch are no runs of the list
    compared = _compared(before, run) if before and listed and run.state == "judged" else ""
    gate = "" if run.batch else run.gate
    return _bar(gate=gate, batch=run.batch, compared=compared)


def gate_bar() -> str:
    """The links from the page of a gate."""
    return _bar()


def batch_bar(entry: BatchEntry) -> str:
    """The links from the page of a batch."""
    return _bar(gate=entry.gate)


def _bar(*, gate: str = "", batch: str = "", compared: str = "") -> str:
    noun = NAMES[noun_of(batch)] if batch else ""
    template = _template("bar.html.jinja")
    return template.render(gate=gate, batch=batch, noun=noun, compared=compared)


def _compared(a: RunEntry, b: RunEntry) -> str:
    return urlencode({"a": os.fsencode(a.id), "b": os.fsencode(b.id)})


def static(request: Request) -> Response:
    """Our scripts, uPlot and the style sheet."""
    name = request.path_params["name"]
    if name == "style.css":
        return Response(_style(), media_type="text/css; charset=utf-8")
    if name == "uplot.js":
        return Response(vendored("vendor/uPlot.iife.min.js"), media_type="text/javascript")
    if name in _SCRIPTS:
        text = (Path(__file__).parent / name).read_text(encoding="utf-8")
        return Response(text, media_type="text/javascript")
    return missing(f"there is nothing at /static/{name}")


def href(entry: str) -> str:
    """The address of a run, a gate or a batch."""
    return f"/runs/{quote(os.fsencode(entry))}"


def ago_text(epoch_s: float) -> str:
    """How long ago a moment was: `5 min ago`, `3 h ago`, `2 days ago`."""
    minutes = max(0, int(time.time() - epoch_s)) // 60
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"


def _names(folder: Path) -> Sequence[str]:
    """The files of a run, of its own folder and of its logs."""
    found = []
    for below in ("", "logs/"):
        try:
            with os.scandir(folder / below) as entries:
                names = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
        except OSError:
            continue
        found += [f"{below}{name}" for name in names if not name.startswith(".")]
    return found[:_FILES_SHOWN]


def _page(template: str, *, status: int = 200, **values: Any) -> Response:
    text = _template(template).render(**values)
    return Response(text, status, media_type="text/html; charset=utf-8")


def _template(name: str) -> Template:
    return _engine().get_template(name)


@cache
def _engine() -> Environment:
    made = engine("chaos.serve")
    made.filters |= {"href": href, "utc": utc_text, "ago": ago_text, "length_text": duration_text}
    made.filters["path"] = lambda name: quote(os.fsencode(name))
    made.globals["tones"] = _TONES
    made.globals["nouns"] = NAMES
    return made


@cache
def _style() -> str:
    look = (
        _engine()
        .from_string('{% include "look.css.jinja" %}{% include "serve.css.jinja" %}')
        .render()
    )
    return str(Markup(look)) + vendored("vendor/uPlot.min.css")
