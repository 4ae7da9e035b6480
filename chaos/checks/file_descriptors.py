"""File descriptors of the Watcher and of the target's services: their floor stays as it was."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.growth.counted import judged_count
from chaos.checks.growth.programs import of_programs
from chaos.record.open_run import OpenRun


class FileDescriptorsParams(Params, frozen=True):
    """`tolerance`: so many more may be open at the end of the judged span."""

    tolerance: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(run: OpenRun, params: FileDescriptorsParams) -> list[Finding]:
    """The plan, soak A, row "File descriptors: stable (± 5)"."""
    return of_programs(run, lambda program: _judged(run, program, params.tolerance))


def _judged(run: OpenRun, program: str, tolerance: float) -> Finding:
    found = judged_count(run, f"{program}.fds", "descriptors", tolerance)
    if found is None:
        return Finding(outcome="inconclusive", summary="descriptors were never sampled")
    return Finding(
        outcome=found.outcome,
        summary=f"{found.text} (tolerance {tolerance:g})",
        measured=found.rise,
        limit=tolerance,
        evidence=[Evidence("history.jsonl", found.text)],
    )


CHECK = Check(
    name="file_descriptors",
    title="File descriptors",
    origin="plan, soak A: File descriptors",
    judge=judge,
    params=FileDescriptorsParams,
)
