"""Writes the reports of a judged run: the formats, and the file of each.

The page is written by a separate process, so that the tables of a long run are not
counted as memory of the harness. A failure to write a report is printed, and never changes a
verdict.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from chaos.base.errors import ChaosError, UsageError
from chaos.base.printable import printable
from chaos.base.shipped import python_path
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.github import announce_on_github, summary_text
from chaos.report.junit import junit_text
from chaos.report.openmetrics import openmetrics_text
from chaos.report.stored import Stored, load, markdown_of

_PAGE_LIMIT_S = 300.0


def _page_text(stored: Stored) -> str:
    from chaos.report.html import html_text  # Jinja2: only when a page is written here

    return html_text(stored)


@dataclass(frozen=True)
class Format:
    """One kind of report: its file in the run directory, and its text."""

    file: str
    text: Callable[[Stored], str]


FORMATS = {
    "html": Format("report.html", _page_text),
    "junit": Format("junit.xml", lambda stored: junit_text([stored])),
    "markdown": Format("report.md", markdown_of),
    "json": Format("verdict.json", lambda stored: stored.run.verdict.read_text(encoding="utf-8")),
    "github": Format("github.md", summary_text),
    "metrics": Format("metrics.prom", openmetrics_text),
}
_CHEAP = ("junit", "metrics")  # the judgement has already written Markdown and JSON


def report_run(run: RunDir, *, stream: TextIO | None = None, page: bool = True) -> None:
    """Write all reports of a run that has just ended; on GitHub also summary and annotations.

    `page` False: not the page. `stream` gets the annotations (default: stdout). An error is printed
    to stderr.
    """
    try:
        stored = _write_cheap(run)
        if page:
            write_page(run, run.path / FORMATS["html"].file)
    except (ChaosError, OSError) as error:
        _print_error(run, error)
        return
    announce_on_github(stored, os.environ, stream=stream)


def refresh(run: RunDir, *, changed: bool) -> None:
    """Write the reports of a run that was judged again; the page only if it exists and is stale.

    The page of a long run takes longer than its judgement, so `chaos report` makes a new one.
    """
    page = run.path / FORMATS["html"].file
    try:
        _write_cheap(run)
        if changed and page.exists():
            write_page(run, page)
    except (ChaosError, OSError) as error:
        _print_error(run, error)


def _write_cheap(run: RunDir) -> Stored:
    stored = load(run)
    for name in _CHEAP:
        write_atomic(run.path / FORMATS[name].file, FORMATS[name].text(stored))
    return stored


def _print_error(run: RunDir, error: Exception) -> None:
    step = f"chaos report {shlex.quote(str(run.path))}"
    if isinstance(error, ChaosError) and error.next_step:
        step = f"{error.next_step}; then: {step}"
        error = ChaosError(error.message, place=error.place)
    text = f"chaos: a report could not be written: {error}\n  next: {step}"
    print(printable(text), file=sys.stderr, flush=True)


def write_page(run: RunDir, out: Path) -> None:
    """Write the page in another process. Raises `ChaosError` if that fails or takes too long."""
    command = [sys.executable, "-P", "-m", "chaos.report.html", str(run.path), str(out)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": python_path(os.environ.get("PYTHONPATH", ""))},
            capture_output=True,
            text=True,
            timeout=_PAGE_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChaosError(
            f"the page was not ready after {_PAGE_LIMIT_S:.0f} s", place=str(out)
        ) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ChaosError(f"the page could not be written: {lines[-1]}", place=str(out))


def report(run: RunDir, name: str, out: Path | None, environ: Mapping[str, str]) -> None:
    """`chaos report`: write one format or `all`, and print the names of the files.

    `out` is a file for one format (`-`: stdout), and for `all` a folder, which is made if its
    parent exists. Without it, reports are written into the run directory, and that for GitHub to
    the files that `environ` names.
    """
    if out is not None and not out.parent.is_dir():
        raise UsageError(
            "not a folder" if out.parent.exists() else "no such folder",
            place=f"--out {out.parent}",
            next_step=f"make it: {shlex.join(['mkdir', '-p', '--', str(out.parent)])}",
        )
    stored = load(run)
    if out == Path("-") or (name == "github" and out is None):
        _to_standard_output(stored, name, environ)
        return
    for path, kind in _places(run, name, out):
        _write(path, kind.text(stored))
        print(path)


def _to_standard_output(stored: Stored, name: str, environ: Mapping[str, str]) -> None:
    if name == "all":
        raise UsageError(
            "all formats cannot be written to one output",
            place="chaos report",
            next_step="name one with --format, or a folder with --out",
        )
    if name == "github" and (environ.get("GITHUB_STEP_SUMMARY") or environ.get("GITHUB_ACTIONS")):
        announce_on_github(stored, environ)
        return
    sys.stdout.write(FORMATS[name].text(stored))


def _places(run: RunDir, name: str, out: Path | None) -> Iterator[tuple[Path, Format]]:
    if name != "all":
        kind = FORMATS[name]
        yield (run.path / kind.file if out is None else out), kind
        return
    for key, kind in FORMATS.items():
        path = (run.path if out is None else out) / kind.file
        # The text for GitHub is that of report.md; all formats are made from the stored verdict.
        if key != "github" and path.resolve() != run.verdict.resolve():
            yield path, kind


def _write(path: Path, text: str) -> None:
    """Replace a file atomically; write into a pipe, a device or the target of a link."""
    try:
        if path.is_dir():
            raise UsageError(
                "this is a folder, and one report is a file",
                place=str(path),
                next_step="name a file with --out, or leave --format out to write all into it",
            )
        if path.exists() and (path.is_symlink() or not path.is_file()):
            _write_into(path, text)
            return
        path.parent.mkdir(exist_ok=True)  # the folder for all formats; its own parent is there
        write_atomic(path, text)
    except OSError as error:
        raise ChaosError(
            f"cannot write the report: {error.strerror}",
            place=str(path),
            next_step="name another place with --out PATH",
        ) from error


def _write_into(path: Path, text: str) -> None:
    # Without O_NONBLOCK, opening a pipe without a reader would block.
    flags = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)
