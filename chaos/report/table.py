"""The verdict on the console: findings with evidence, faults, verdict, paths, and the command.

Fits 80 columns. Without colours, and in ASCII if the output has no other characters, the content is
the same.
"""

import io
import os
import sys
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.base.foreign import each_text
from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.record.rundir import RunDir
from chaos.report.words import COLOURS, GLYPHS, MEANING, seconds_text

_ASCII = {"✓": "+", "✗": "x"}
_EVIDENCE_SHOWN = 3
_WIDTH_PLAIN = 80
_WIDTH_MAX = 110


def verdict_console(*, no_color: bool = False, stream: TextIO | None = None) -> Console:
    """A console for the final table: colour on a terminal only, 80 columns elsewhere."""
    out = stream or sys.stdout
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a log line may have any character
    terminal = out.isatty()
    plain = no_color or not terminal or bool(os.environ.get("NO_COLOR"))
    console = Console(
        file=out,
        no_color=plain,
        color_system=None if plain else "auto",
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
    console.width = min(console.width, _WIDTH_MAX) if terminal else _WIDTH_PLAIN
    return console


def print_verdict(console: Console, verdict: Verdict, run: RunDir) -> None:
    """Print `verdict` of `run`: table, faults, verdict line, paths, how to reproduce."""
    verdict = each_text(verdict, printable)  # a stored run may contain terminal control codes
    console.print()
    console.print(_findings(console, verdict.findings))
    if verdict.faults:
        console.print()
        console.print(_faults(verdict))
    for note in verdict.notes:
        console.print()
        console.print(Text(note))
    console.print()
    console.print(_verdict_line(console, verdict))
    # Paths and commands are never wrapped or cut, so that they can be copied.
    page = "report.html, " if (run.path / "report.html").is_file() else ""
    reports = f"{page}{run.report.name}, {run.verdict.name}"
    lines = [f"  run        {run.path}", f"  report     {reports}"]
    if verdict.schedule_hash:
        lines.append(f"  seed       {verdict.seed}, schedule {verdict.schedule_hash}")
    if verdict.reproduce:
        lines.append(f"  reproduce  {verdict.reproduce}")
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)


def _glyph(console: Console, outcome: str) -> str:
    glyph = GLYPHS[outcome]
    try:
        glyph.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return _ASCII.get(glyph, glyph)
    return glyph


def _findings(console: Console, findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, expand=False, header_style="bold")
    table.add_column("outcome", no_wrap=True)
    table.add_column("finding", no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for finding in findings:
        style = COLOURS[finding.outcome]
        word = Text(f"{_glyph(console, finding.outcome)} {finding.outcome}", style=style)
        table.add_row(word, Text(finding.title), _summary(finding))
    return table


def _summary(finding: Finding) -> Text:
    """The summary; below it, the evidence of a finding that did not pass."""
    text = Text(finding.summary)
    if finding.outcome in ("pass", "skipped"):
        return text
    if finding.owner != "product":
        text.append(f" [{finding.owner}]", style="dim")
    for item in finding.evidence[:_EVIDENCE_SHOWN]:
        text.append(f"\n{item.ref}", style="cyan")
        text.append(f" {item.text}", style="dim")
    more = finding.evidence_count - _EVIDENCE_SHOWN
    if more > 0:
        text.append(f"\nand {more} more in the report", style="dim")
    return text


def _faults(verdict: Verdict) -> Table:
    table = Table(box=None, pad_edge=False, expand=False, header_style="bold")
    table.add_column("fault", no_wrap=True)
    for name in ("injected", "proven", "undone", "recovered"):
        table.add_column(f"{name} s", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for fault in verdict.faults:
        moments = (fault.injected_s, fault.proven_s, fault.recovering_s, fault.recovered_s)
        table.add_row(
            Text(f"{fault.fault_id} {fault.name}"),
            *(seconds_text(moment) for moment in moments),
            Text(fault.state),
        )
    return table


def _verdict_line(console: Console, verdict: Verdict) -> Text:
    line = Text(
        f"{_glyph(console, verdict.verdict)} {verdict.verdict.upper()}",
        style=f"bold {COLOURS[verdict.verdict]}",
    )
    line.append(f"  {MEANING[verdict.verdict]}; {verdict.reason}", style="default")
    line.append(f"  (exit {verdict.exit_code}, {duration_text(verdict.lasted_s)})", style="dim")
    return line
