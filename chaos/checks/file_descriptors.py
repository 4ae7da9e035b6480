"""File descriptors: their floor stays where it was."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.growth.counted import judged_count
from chaos.record.open_run import OpenRun


class FileDescriptorsParams(Params, frozen=True):
    """`tolerance`: so many more may be open at the end of the judged span."""

    tolerance: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(run: OpenRun, params: FileDescriptorsParams) -> list[Finding]:
    """The plan, soak A, row "File descriptors: stable (± 5)"."""
    found = judged_count(run, "watcher.fds", "descriptors", params.tolerance)
    if found is None:
        return [Finding(outcome="inconclusive", summary="descriptors were never sampled")]
    return [
        Finding(
            outcome=found.outcome,
            summary=f"{found.text} (tolerance {params.tolerance:g})",
            measured=found.rise,
            limit=params.tolerance,
            evidence=[Evidence("history.jsonl", found.text)],
        )
    ]


CHECK = Check(
    name="file_descriptors",
    title="File descriptors",
    origin="plan, soak A: File descriptors",
    judge=judge,
    params=FileDescriptorsParams,
)
