"""`report.html`: one self-contained file for people. `python -m chaos.report.html RUNDIR OUT`.

Written by a separate process (`chaos/report/write.py` starts it), because drawing takes memory that
must not be counted as memory of the harness. The template engine escapes all foreign text, and the
page's policy forbids requests and scripts.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chaos.base.errors import ChaosError
from chaos.base.printable import bounded, printable, value_text
from chaos.base.units import duration_text
from chaos.checks.finding import Finding
from chaos.checks.verdict import FaultOutcome, Verdict
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.course import PANELS, Course, course_of
from chaos.report.excerpts import excerpts
from chaos.report.plots import latency_svg, panel_svg, timeline_svg
from chaos.report.stored import Stored, load
from chaos.report.words import GLYPHS, MEANING, measured_text, seconds_text
from chaos.triage.from_run import triage_run
from chaos.triage.result import TITLES, Triage

_CELL_MAX = 2000
# Worst first.
_ORDER = ("fail", "invalid", "unverified", "inconclusive", "skipped", "pass")


def html_text(stored: Stored) -> str:
    """The whole page of a judged run; the same run directory gives the same bytes."""
    verdict = stored.verdict
    with OpenRun(stored.run) as run:
        course = course_of(run, verdict)
        triage, problem = _triage(run, verdict)
    refs = [e.ref for f in verdict.findings for e in f.evidence]
    refs += [fault.ref for fault in verdict.faults]
    refs += [f"history.jsonl:{line}" for line, _ in course.notable]
    engine = Environment(
        loader=PackageLoader("chaos.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    engine.filters["value"] = value_text
    engine.filters["seconds"] = seconds_text
    engine.filters["measured"] = measured_text
    page = engine.get_template("page.html.jinja")
    return page.render(
        verdict=verdict,
        glyphs=GLYPHS,
        meaning=MEANING[verdict.verdict],
        lasted=duration_text(verdict.lasted_s),
        findings=_ordered(verdict),
        counts=_counts(verdict.findings),
        excerpts=excerpts(stored.run.path, refs),
        faults=[_fault(fault) for fault in verdict.faults],
        plots=_plots(course),
        timeline=Markup(timeline_svg(course)),
        notable=[
            (f"history.jsonl:{line}", event, measured_text(event.detail))
            for line, event in course.notable
        ],
        provenance=_flat(stored.provenance),
        triage=triage,
        triage_titles=TITLES,
        triage_problem=problem,
    )


def _triage(run: OpenRun, verdict: Verdict) -> tuple[Triage | None, str]:
    """(triage, ""), or (None, the error)."""
    try:
        return triage_run(run, verdict), ""
    except ChaosError as error:
        return None, str(error)
    except Exception as error:  # a defect of triage must not prevent the rest of the page
        return None, f"the triage itself failed: {type(error).__name__}: {error}"


def _shown(value: Any) -> Any:
    """A value of the template as printable text of bounded length; "" for None."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return bounded(printable(value), _CELL_MAX)
    return "" if value is None else value


def _ordered(verdict: Verdict) -> list[tuple[str, Finding]]:
    """(anchor, finding), worst first, otherwise in the order of the judgement."""
    numbered = [(f"finding-{n}", f) for n, f in enumerate(verdict.findings, start=1)]
    return sorted(numbered, key=lambda pair: _ORDER.index(pair[1].outcome))


def _counts(findings: list[Finding]) -> list[tuple[str, int]]:
    counts = [(word, sum(f.outcome == word for f in findings)) for word in _ORDER]
    return [(word, count) for word, count in counts if count]


def _fault(fault: FaultOutcome) -> tuple[FaultOutcome, str]:
    """The fault, and its result in words."""
    if fault.proven_s is None:
        return fault, "effect not proven"
    return fault, "recovered" if fault.recovered_s is not None else "recovery not proven"


def _plots(course: Course) -> list[tuple[str, str, Markup, str]]:
    """(key, title, drawing or "", the reason for no drawing)."""
    shown = []
    for kind in PANELS:
        svg = panel_svg(course, kind)
        reason = (
            "" if svg else course.absent.get(kind.source, "no sample of this run has this signal")
        )
        shown.append((kind.key, kind.title, Markup(svg), reason))
    svg = latency_svg(course)
    reason = "" if svg else "no decision records an LLM call with its times"
    shown.append(("latency", "LLM latency", Markup(svg), reason))
    return shown


def _flat(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in sorted(provenance.items()):
        if isinstance(value, Mapping):
            rows += [(f"{key} {inner}", measured_text({"": v})) for inner, v in value.items()]
        else:
            rows.append((key, measured_text({"": value})))
    return [(key, value.strip()) for key, value in rows]


def main(argv: list[str] | None = None) -> int:
    """RUNDIR OUT: write the page of the judged run RUNDIR to OUT."""
    words = sys.argv[1:] if argv is None else argv
    try:
        run, out = RunDir(Path(words[0])), Path(words[1])
        write_atomic(out, html_text(load(run)))
    except (ChaosError, OSError) as error:
        print(str(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
