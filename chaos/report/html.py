"""`report.html`: one self-contained file for people. `python -m chaos.report.html RUNDIR OUT`.

Written by a separate process (`chaos/report/write.py` starts it), because the tables of a long run
take memory that must not be counted as memory of the harness.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chaos.base.errors import ChaosError
from chaos.checks.finding import Evidence, Finding
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.cause import triage_or_problem
from chaos.report.course import Course, course_of
from chaos.report.excerpts import excerpts, split_ref
from chaos.report.marks import anchor_of, lies_unknown
from chaos.report.pages import UPLOT, json_data, page_text
from chaos.report.plots import panels_of, plot_data
from chaos.report.proof import proof_of
from chaos.report.stored import Stored, load
from chaos.report.story import happened, worst_first
from chaos.report.timeline import Timeline, timeline_of
from chaos.report.words import ORDER, measured_text
from chaos.triage.result import TITLES, Triage

# Files of a run directory that people open, with what is in them.
_FILES = {
    "verdict.json": "all findings and the verdict",
    "report.md": "this report as Markdown",
    "history.jsonl": "the record of the run",
    "witness.jsonl": "system calls of the daemon, as witnessed",
    "wire.jsonl": "exchanges with the LLM, as witnessed",
    "wire.pcap": "the same for Wireshark",
    "ledger.jsonl": "undo records of the faults",
    "schedule.json": "what was scheduled",
    "config.json": "the effective plan",
    "provenance.json": "what ran, on what",
    "junit.xml": "the findings as JUnit",
    "metrics.prom": "the numbers as OpenMetrics",
    "logs": "output of every process",
    "artefacts": "the daemon's files",
}


@dataclass(frozen=True)
class Piece:
    """One piece of evidence, with its place in the page, in time and in the run directory."""

    ref: str
    text: str
    anchor: str
    href: str  # "" if there is no such file
    number: int  # of its marker, 0 without one
    marker: str
    when: str  # run clock, unless the text has it, and wall clock
    line: str  # what the line says that it refers to, "" for none


@dataclass(frozen=True)
class Shown:
    """A finding with its place in the page."""

    number: int
    finding: Finding
    pieces: list[Piece]

    @property
    def anchor(self) -> str:
        """The id of its element."""
        return f"finding-{self.number}"


def html_text(stored: Stored) -> str:
    """The whole page of a judged run; the same run directory gives the same bytes."""
    verdict = stored.verdict
    with OpenRun(stored.run) as run:
        course = course_of(run, verdict)
        triage, problem = triage_or_problem(run, verdict)
        summaries = {w.fault_id: str(w.trait("summary") or "") for w in run.faults}
    timeline = timeline_of(course)
    findings = _shown_findings(stored, course, timeline, triage)
    return page_text(
        "page.html.jinja",
        style="page.css.jinja",
        scripts=("page.js", UPLOT, "plots.js"),
        verdict=verdict,
        lasted_s=course.end_s,
        said=happened(verdict, triage),
        proofs=[proof_of(f, summaries.get(f.fault_id, "")) for f in verdict.faults],
        findings=findings,
        counts=[(w, n) for w in ORDER if (n := sum(f.outcome == w for f in verdict.findings))],
        timeline=timeline,
        lies_unknown=lies_unknown(verdict),
        began=_wall_text(stored.began_epoch_s),
        panels=panels_of(course),
        data=json_data(plot_data(course, stored.began_epoch_s)),
        notable=[
            (f"history.jsonl:{line}", event, measured_text(event.detail))
            for line, event in course.notable
        ],
        files=[
            (name, text, quote(name) + ("/" if (stored.run.path / name).is_dir() else ""))
            for name, text in _FILES.items()
            if (stored.run.path / name).exists()
        ],
        href=lambda ref: _href(stored.run.path, ref),
        provenance=_flat(stored.provenance),
        triage=triage,
        triage_titles=TITLES,
        triage_problem=problem,
    )


def _shown_findings(
    stored: Stored, course: Course, timeline: Timeline, triage: Triage | None
) -> list[Shown]:
    """The findings, worst first, with the lines that open evidence refers to."""
    ranked = worst_first(stored.verdict, triage)
    refs = [e.ref for _, f in ranked if f.outcome not in ("pass", "skipped") for e in f.evidence]
    lines = excerpts(stored.run.path, refs)
    marks = {mark.anchor: mark for mark in course.evidence}

    def piece(number: int, place: int, evidence: Evidence, finding: Finding) -> Piece:
        anchor = anchor_of(number, place)
        mark = marks.get(anchor)
        return Piece(
            ref=evidence.ref,
            text=evidence.text,
            anchor=anchor,
            href=_href(stored.run.path, evidence.ref),
            number=mark.number if mark else 0,
            marker=timeline.places.get(anchor, ""),
            when=_when(mark.t_s, evidence.text, stored.began_epoch_s) if mark else "",
            line=lines.get(evidence.ref, "") if finding.outcome != "pass" else "",
        )

    return [
        Shown(
            number,
            finding,
            [piece(number, n, e, finding) for n, e in enumerate(finding.evidence, start=1)],
        )
        for number, finding in ranked
    ]


def _href(root: Path, ref: str) -> str:
    """The relative address of the file that `ref` names; "" unless it is one of the run's."""
    path, _ = split_ref(ref)
    try:
        full = (root / path).resolve()
        inside = full.is_relative_to(root.resolve()) and full.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return ""
    return quote(path) if inside else ""


def _when(t_s: float, text: str, began_epoch_s: float | None) -> str:
    run_clock = f"{t_s:.1f} s"
    wall_clock = _wall_text(began_epoch_s + t_s)[11:] if began_epoch_s else ""
    return ", ".join(filter(None, ("" if run_clock in text else f"at {run_clock}", wall_clock)))


def _wall_text(epoch_s: float | None) -> str:
    """Wall clock for people, in UTC; "" if it is unknown or no time."""
    try:
        moment = datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None
    except (OverflowError, ValueError, OSError):
        return ""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


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
