"""Errors: no unhandled exception in any log of the Watcher."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.open_run import OpenRun

_SHOWN_CHARS = 160
_BLOCK_BYTES = 1 << 20


class ErrorsParams(Params, frozen=True):
    """`max`: lines that may match one of the target's `error_patterns`."""

    max: Annotated[int, msgspec.Meta(ge=0)] = 0


def judge(run: OpenRun, params: ErrorsParams) -> list[Finding]:
    """The plan, soak C, row "Errors: 0 unhandled exceptions". Faults excuse none."""
    patterns = [pattern.encode() for pattern in run.target.error_patterns]
    logs = watcher_logs(run)
    found = [
        Evidence(ref, line[:_SHOWN_CHARS].decode(errors="replace").strip())
        for name, path in logs
        for ref, line in lines_with(patterns, name, path)
    ]
    if run.not_collected and len(found) <= params.max:
        text = f"{plural(len(found), 'unhandled exception')} in what was collected of the logs"
        summary = f"{text} (not everything was: {run.not_collected})"
        return [Finding(outcome="inconclusive", owner="infrastructure", summary=summary)]
    if not logs:
        return [Finding(outcome="inconclusive", summary="there is no log of the Watcher to read")]
    return [
        Finding(
            outcome="pass" if len(found) <= params.max else "fail",
            summary=f"{plural(len(found), 'unhandled exception')} in "
            f"{plural(len(logs), 'log file')}, at most {params.max} allowed",
            measured=len(found),
            limit=params.max,
            evidence=found,
        )
    ]


def watcher_logs(run: OpenRun) -> list[tuple[str, Path]]:
    """(reference, path) of each log of the daemon: its output, that of its further services, then
    its own log files.
    """
    outputs = [run.run.logs / f"{name}.log" for name in ("watcher", *run.target.services)]
    logs = [(f"logs/{output.name}", output) for output in outputs if output.is_file()]
    paths = {p for glob in run.target.paths.logs for p in run.files.glob(glob) if p.is_file()}
    return logs + [(f"artefacts/{path.relative_to(run.files)}", path) for path in sorted(paths)]


def lines_with(patterns: list[bytes], name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """(reference, line) of each line of a log in which a pattern stands. Only blocks that hold a
    pattern are taken apart into lines.
    """
    number = 1
    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        while block := stream.read(_BLOCK_BYTES) + stream.readline(_BLOCK_BYTES):
            if any(pattern in block for pattern in patterns):
                for offset, line in enumerate(block.split(b"\n")):
                    if any(pattern in line for pattern in patterns):
                        yield f"{name}:{number + offset}", line
            number += block.count(b"\n")


CHECK = Check(
    name="errors",
    title="Errors",
    origin="plan, soak C: Errors",
    judge=judge,
    params=ErrorsParams,
)
