"""What a run says at its end, in the display that was asked for, and the exit code it ends with."""

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
    """Write the reports of the judged `run`, announce `verdict`; returns its exit code.

    The exit code is the verdict's also when nobody reads what is printed. `reports` writes other
    reports than those of a run that has just ended.
    """
    from chaos.report.write import report_run

    stream = sys.stderr if display == "json" else None
    say(reports or (lambda: report_run(run, stream=stream)))
    say(lambda: announce(verdict, run, display, no_color=no_color))
    flush()
    return int(verdict.exit_code)


def announce(verdict: Verdict, run: RunDir, display: str, *, no_color: bool = False) -> None:
    """json: `verdict.json` on stdout and nothing else; quiet: one line; else the whole table."""
    if display == "json":
        sys.stdout.write(verdict_text(verdict))
        sys.stdout.flush()
        return
    if display == "quiet":
        print(printable(f"{verdict.verdict}: {verdict.reason} | {run.path}"), flush=True)
        return
    from chaos.report.table import print_verdict, verdict_console  # rich is slow to import

    print_verdict(verdict_console(no_color=no_color), verdict, run)
