"""What a run says at its end, in the display that was asked for."""

from __future__ import annotations

import sys

from chaos.checks.verdict import Verdict
from chaos.rundir import RunDir


def announce(verdict: Verdict, run: RunDir, display: str, *, no_color: bool = False) -> None:
    """json: `verdict.json` on stdout and nothing else; quiet: one line; else the whole table."""
    if display == "json":
        sys.stdout.write(run.verdict.read_text(encoding="utf-8"))
        sys.stdout.flush()
        return
    if display == "quiet":
        print(f"{verdict.verdict}: {verdict.reason} | {run.path}", flush=True)
        return
    from chaos.report.table import print_verdict, verdict_console  # rich is slow to import

    print_verdict(verdict_console(no_color=no_color), verdict, run)
