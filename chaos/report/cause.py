"""Triage for a report: a defect of triage must never cost the report itself."""

from chaos.base.errors import ChaosError
from chaos.base.printable import bounded, printable
from chaos.checks.verdict import Verdict
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.triage.from_run import triage_run
from chaos.triage.result import TITLES, Triage

_CAUSE_MAX = 300


def triage_or_problem(run: OpenRun, verdict: Verdict) -> tuple[Triage | None, str]:
    """(triage, ""), or (None, the error)."""
    try:
        return triage_run(run, verdict), ""
    except ChaosError as error:
        return None, str(error)
    except Exception as error:  # a defect of triage must not cost the verdict or the page
        return None, f"the triage itself failed: {type(error).__name__}: {error}"


def first_cause(run: RunDir, verdict: Verdict) -> str:
    """The first cause that triage names for a failed run, in one line; "" without one."""
    if verdict.verdict != "fail":
        return ""
    try:
        with OpenRun(run) as opened:
            triage, _ = triage_or_problem(opened, verdict)
    except ChaosError:  # the verdict is printed all the same, and names `chaos triage`
        return ""
    if triage is None or not triage.causes:
        return ""
    cause = triage.causes[0]
    more = f" (and {len(triage.causes) - 1} more)" if len(triage.causes) > 1 else ""
    text = " ".join(printable(cause.summary).split())
    return bounded(f"{TITLES[cause.name]}: {text}", _CAUSE_MAX) + more
