"""GitHub Actions: the job summary and annotations, within the limits of the platform.

Only `announce_on_github` writes; the rest makes text.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from chaos.base.printable import bounded, printable
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.report.stored import Stored, markdown_of

SUMMARY_BYTES_MAX = 1 << 20  # of one step, by all writers
ANNOTATIONS_MAX = 10  # of each kind in one step
_MESSAGE_MAX = 2000
_CUT = "\n\n*Cut here: a job summary holds at most 1 MiB. The whole is in the run directory.*\n"


def summary_text(stored: Stored, room_bytes: int = SUMMARY_BYTES_MAX) -> str:
    """The Markdown report, cut at the end of a line to `room_bytes`; "" if that is too small."""
    text = printable(markdown_of(stored))
    raw = text.encode()
    if len(raw) <= room_bytes:
        return text
    room = room_bytes - len(_CUT.encode())
    if room <= 0:
        return ""
    return raw[: raw.rfind(b"\n", 0, room) + 1].decode() + _CUT


def annotation_lines(verdict: Verdict) -> list[str]:
    """Workflow commands: errors for failed and invalid findings, warnings for undecided ones."""
    errors = [f for f in verdict.findings if f.outcome in ("fail", "invalid")]
    warnings = [f for f in verdict.findings if f.outcome in ("inconclusive", "unverified")]
    lines = [*_commands("error", errors), *_commands("warning", warnings)]
    if not lines and verdict.exit_code != 0:
        lines = [_command("error", verdict.verdict.upper(), f"{verdict.reason} {verdict.stopped}")]
    return lines


def _commands(kind: str, findings: Sequence[Finding]) -> list[str]:
    shown = findings if len(findings) <= ANNOTATIONS_MAX else findings[: ANNOTATIONS_MAX - 1]
    lines = [
        _command(kind, f"{f.outcome}: {f.title or f.check}", f"{f.summary} (owner: {f.owner})")
        for f in shown
    ]
    if more := len(findings) - len(shown):
        lines.append(_command(kind, f"and {more} more", "The job summary lists all findings."))
    return lines


def _command(kind: str, title: str, message: str) -> str:
    name = _data(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{_data(bounded(message, _MESSAGE_MAX))}"


def _data(text: str) -> str:
    # `printable` has already replaced carriage returns.
    return printable(text).replace("%", "%25").replace("\n", "%0A")


def announce_on_github(
    stored: Stored, environ: Mapping[str, str], *, stream: TextIO | None = None
) -> None:
    """Append the summary and print the annotations, if `environ` is that of a GitHub step.

    A failure to write the summary is printed to stderr, and does not change the verdict.
    """
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        try:
            append_summary(stored, Path(path))
        except OSError as error:
            _warn(error)
    if environ.get("GITHUB_ACTIONS") == "true":
        out = stream or sys.stdout
        out.write("".join(f"{line}\n" for line in annotation_lines(stored.verdict)))
        out.flush()


def _warn(error: OSError) -> None:
    text = f"chaos: the job summary (GITHUB_STEP_SUMMARY) cannot be written: {error}\n"
    text += "  next: name a file in a folder that exists; the verdict does not depend on it"
    print(printable(text), file=sys.stderr, flush=True)


def make_outputs(environ: Mapping[str, str]) -> None:
    """Create those of the `outputs` that are missing: a sandbox shows only what exists.

    A failure is printed to stderr.
    """
    for path in outputs(environ):
        try:
            path.touch()
        except OSError as error:
            _warn(error)


def outputs(environ: Mapping[str, str]) -> list[Path]:
    """The files that `announce_on_github` will write, which a sandbox must keep visible."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    return [Path(path)] if path else []


def append_summary(stored: Stored, path: Path) -> None:
    """Append to the summary file of the step, up to its size limit."""
    with path.open("ab") as summary:
        room = SUMMARY_BYTES_MAX - summary.seek(0, os.SEEK_END)
        summary.write(summary_text(stored, room).encode())
