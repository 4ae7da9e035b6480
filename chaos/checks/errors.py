"""Errors: no unhandled exception in any log of the Watcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import LINE_BYTES_MAX

_WATCHER_OUTPUT = "watcher.log"
_SHOWN_CHARS = 160


class ErrorsParams(Params, frozen=True):
    """`max`: lines that may match one of the target's `error_patterns`."""

    max: Annotated[int, msgspec.Meta(ge=0)] = 0


def judge(view: RunView, params: ErrorsParams) -> list[Finding]:
    """The plan, soak C, row "Errors: 0 unhandled exceptions". Faults excuse none."""
    patterns = [pattern.encode() for pattern in view.target.error_patterns]
    found: list[Evidence] = []
    logs = _logs(view)
    for ref, path in logs:
        found += _in_log(ref, path, patterns)
    if view.incomplete and len(found) <= params.max:
        text = f"{plural(len(found), 'unhandled exception')} in what was collected of the logs"
        summary = f"{text} (not everything was: {view.incomplete})"
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


def _logs(view: RunView) -> list[tuple[str, Path]]:
    """(reference, path) of each log."""
    output = view.run.logs / _WATCHER_OUTPUT
    logs = [(f"logs/{_WATCHER_OUTPUT}", output)] if output.is_file() else []
    return logs + [
        (view.files.ref(path), view.run.artefacts / path) for path in view.files.log_paths()
    ]


def _in_log(ref: str, path: Path, patterns: list[bytes]) -> Iterator[Evidence]:
    """The lines of a log in which a pattern stands; most blocks of lines have none."""
    from chaos.checks.line_blocks import line_blocks

    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        for block in line_blocks(stream, LINE_BYTES_MAX):
            if any(pattern in block.content for pattern in patterns):
                for number, whole in block.lines():
                    line = whole.rstrip(b"\r\n")
                    if any(pattern in line for pattern in patterns):
                        shown = line[:_SHOWN_CHARS].decode(errors="replace").strip()
                        yield Evidence(f"{ref}:{number}", shown)


CHECK = Check(
    name="errors",
    title="Errors",
    origin="plan, soak C: Errors",
    judge=judge,
    params=ErrorsParams,
)
