"""The end of a run: write its reports, print its verdict, and return its exit code."""

import sys
from collections.abc import Callable

from chaos.base.output import flush, say
from chaos.base.printable import printable
from chaos.checks.verdict import Verdict, verdict_text
from chaos.record.rundir import RunDir
from chaos.report.display import Display


def conclude(
    verdict: Verdict,
    run: RunDir,
    display: Display,
    *,
    reports: Callable[[], None] | None = None,
) -> int:
    """Write the reports of the judged `run`, print `verdict`, and return its exit code.

    A closed reader (EPIPE) does not change the exit code. `reports` replaces `report_run`, which
    writes the reports of a run that has just ended.
    """
    from chaos.report.write import report_run

    stream = sys.stderr if display.json else None
    say(reports or (lambda: report_run(run, stream=stream, page=display.page)))
    say(lambda: announce(verdict, run, display))
    flush()
    return int(verdict.exit_code)


def announce(verdict: Verdict, run: RunDir, display: Display) -> None:
    """Print the verdict: with `json` the text of `verdict.json`, with `quiet` one line."""
    if display.json:
        sys.stdout.write(verdict_text(verdict))
        sys.stdout.flush()
        return
    if display.quiet:
        print(printable(f"{verdict.verdict}: {verdict.reason} | {run.path}"), flush=True)
        return
    from chaos.report.cause import first_cause  # DuckDB and rich are slow to import
    from chaos.report.table import print_verdict, verdict_console

    console = verdict_console(no_color=display.no_color)
    cause = first_cause(run, verdict)
    print_verdict(console, verdict, run, verbose=display.verbose, cause=cause)
