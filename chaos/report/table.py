"""The verdict on the console: what failed first and last, verdict, paths, and what to do next.

On a terminal, a table as wide as the terminal (or as COLUMNS). Elsewhere plain lines that are never
wrapped, so that a log of a CI job can be searched. The content is the same without colours, and in
ASCII if the output has no other characters.
"""

import io
import os
import shlex
import sys
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.base.foreign import each_text
from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.checks.finding import Finding
from chaos.checks.verdict import FaultOutcome, Verdict
from chaos.record.rundir import RunDir
from chaos.report.words import COLOURS, GLYPHS, MEANING, ORDER, UNWRAPPED, seconds_text

_ASCII = {"✓": "+", "✗": "x"}
_EVIDENCE_SHOWN = 3
_REPEATED_MAX = 5  # findings that are named again at the end


def verdict_console(*, no_color: bool = False, stream: TextIO | None = None) -> Console:
    """A console for the final table. Elsewhere than on a terminal it has no colours, and no width
    unless COLUMNS says one.
    """
    out = stream or sys.stdout
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")  # a log line may have any character
    terminal = out.isatty()
    plain = no_color or not terminal or bool(os.environ.get("NO_COLOR"))
    width = None if terminal or os.environ.get("COLUMNS", "").isdigit() else UNWRAPPED
    return Console(
        file=out,
        no_color=plain,
        color_system=None if plain else "auto",
        width=width,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )


def print_verdict(
    console: Console,
    verdict: Verdict,
    run: RunDir,
    *,
    verbose: bool = False,
    cause: str = "",
) -> None:
    """Print `verdict` of `run`: findings, faults, verdict, `cause`, paths, and what to do next.

    `verbose`: a row for each finding that passed. `cause`: what triage names.
    """
    verdict = each_text(verdict, printable)  # a stored run may contain terminal control codes
    console.print()
    _print_findings(console, verdict.findings, verbose=verbose)
    if verdict.faults:
        console.print()
        _print_faults(console, verdict.faults)
    for note in verdict.notes:
        console.print()
        _print(console, Text(note))
    console.print()
    _print(console, _verdict_line(console, verdict))
    open_findings = [f for f in _ordered(verdict.findings) if f.outcome not in ("pass", "skipped")]
    for finding in open_findings[:_REPEATED_MAX]:
        line = Text("  ").append(_glyph(console, finding.outcome), COLOURS[finding.outcome])
        _print(console, line.append(f" {finding.title}: {finding.summary}"), cut=True)
    if len(open_findings) > _REPEATED_MAX:
        _print(console, Text(f"    and {len(open_findings) - _REPEATED_MAX} more, above"))
    # Paths and commands are never wrapped or cut, so that they can be copied.
    for word, text in _ending(verdict, run, cause):
        console.print(Text(printable(f"  {word:<11}{text}")), soft_wrap=True)


def _ending(verdict: Verdict, run: RunDir, cause: str) -> Iterator[tuple[str, str]]:
    place = run.path.resolve()
    if cause:
        yield "cause", cause
    yield "run", str(place)
    page = place / "report.html"
    yield "report", str(page if page.is_file() else place / run.report.name)
    if verdict.schedule_hash:
        yield "seed", f"{verdict.seed}, schedule {verdict.schedule_hash}"
    if verdict.reproduce:
        yield "reproduce", verdict.reproduce
    if verdict.verdict == "pass":
        yield "next", "chaos gate   (all soaks, clean and under faults: one verdict)"
    else:
        yield "next", f"chaos triage {shlex.quote(str(place))}"


def _print(console: Console, line: Text, *, cut: bool = False) -> None:
    """Print one line: as it is where there is no width; otherwise folded or `cut` to the width."""
    if console.width >= UNWRAPPED:
        console.print(line, soft_wrap=True)
    else:
        console.print(line, no_wrap=cut, overflow="ellipsis" if cut else "fold")


def _glyph(console: Console, outcome: str) -> str:
    glyph = GLYPHS[outcome]
    try:
        glyph.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return _ASCII.get(glyph, glyph)
    return glyph


def _ordered(findings: list[Finding]) -> list[Finding]:
    """Worst first, otherwise in the order of the judgement."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.outcome))


def _print_findings(console: Console, findings: list[Finding], *, verbose: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in _ordered(findings):
        if finding.outcome in ("pass", "skipped") and not verbose:
            continue
        word = _word(console, finding.outcome, finding.outcome)
        if console.width < UNWRAPPED:
            table.add_row(word, Text(finding.title), _summary(finding))
            continue
        first, *rest = _summary(finding).split("\n")
        line = word.append(f"  {finding.title}: ", "default").append_text(first)
        for text in (line, *(Text("    ").append_text(part) for part in rest)):
            _print(console, text)
    if table.row_count:
        console.print(table)
    for outcome in () if verbose else ("skipped", "pass"):
        titles = [finding.title for finding in findings if finding.outcome == outcome]
        if titles:
            hint = f": {', '.join(titles)}" if outcome == "skipped" else "  (-v shows each)"
            word = _word(console, outcome, f"{len(titles)} {outcome}")
            _print(console, word.append(hint, "dim"))


def _word(console: Console, outcome: str, text: str) -> Text:
    return Text(f"{_glyph(console, outcome)} {text}", COLOURS[outcome])


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


def _print_faults(console: Console, faults: list[FaultOutcome]) -> None:
    """Print when each fault was injected, proven, undone and recovered, in run seconds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("fault", no_wrap=True)
    for name in ("injected", "proven", "undone", "recovered"):
        table.add_column(f"{name} s", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for fault in faults:
        moments = (fault.injected_s, fault.proven_s, fault.recovering_s, fault.recovered_s)
        table.add_row(
            Text(f"{fault.fault_id} {fault.name}"),
            *(seconds_text(moment) for moment in moments),
            Text(fault.state),
        )
    console.print(table)


def _verdict_line(console: Console, verdict: Verdict) -> Text:
    line = Text(
        f"{_glyph(console, verdict.verdict)} {verdict.verdict.upper()}",
        style=f"bold {COLOURS[verdict.verdict]}",
    )
    line.append(f"  {MEANING[verdict.verdict]}; {verdict.reason}", style="default")
    line.append(f"  (exit {verdict.exit_code}, {duration_text(verdict.lasted_s)})", style="dim")
    return line
