"""The end of a run: write its reports, print its verdict, and return its exit code."""

import sys
from collections.abc import Callable

from chaos.base.output import flush, say
from chaos.base.printable import printable
from chaos.checks.verdict import Verdict, verdict_text
from chaos.record.rundir import RunDir


def conclude(
    verdict: Verdict,
    run: RunDir,
    display: str,
    *,
    no_color: bool = False,
    reports: Callable[[], None] | None = None,
) -> int:
    """Write the reports of the judged `run`, print `verdict`, and return its exit code.

    A closed reader (EPIPE) does not change the exit code. `reports` replaces `report_run`, which
    writes the reports of a run that has just ended.
    """
    from chaos.report.write import report_run

    stream = sys.stderr if display == "json" else None
    say(reports or (lambda: report_run(run, stream=stream)))
    say(lambda: announce(verdict, run, display, no_color=no_color))
    flush()
    return int(verdict.exit_code)


def announce(verdict: Verdict, run: RunDir, display: str, *, no_color: bool = False) -> None:
    """Print the verdict. `display`: `json` (the text of `verdict.json`), `quiet` (one line), or any
    other for the table.
    """
    if display == "json":
        sys.stdout.write(verdict_text(verdict))
        sys.stdout.flush()
        return
    if display == "quiet":
        print(printable(f"{verdict.verdict}: {verdict.reason} | {run.path}"), flush=True)
        return
    from chaos.report.table import print_verdict, verdict_console  # rich is slow to import

    print_verdict(verdict_console(no_color=no_color), verdict, run)
