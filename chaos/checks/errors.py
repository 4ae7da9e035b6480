"""Errors: no unhandled exception in any log of the Watcher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import stream_lines

_WATCHER_OUTPUT = "watcher.log"
_SHOWN_CHARS = 160


class ErrorsParams(Params, frozen=True):
    """`max`: lines that may match one of the target's `error_patterns`."""

    max: Annotated[int, msgspec.Meta(ge=0)] = 0


def judge(view: RunView, params: ErrorsParams) -> list[Finding]:
    """The plan, soak C, row "Errors: 0 unhandled exceptions". Faults excuse none."""
    patterns = [pattern.encode() for pattern in view.target.error_patterns]
    found: list[Evidence] = []
    files = 0
    for ref, lines in _logs(view):
        files += 1
        for number, line, _ in lines:
            if any(pattern in line for pattern in patterns):
                shown = line[:_SHOWN_CHARS].decode(errors="replace").strip()
                found.append(Evidence(f"{ref}:{number}", shown))
    if not files:
        return [Finding(outcome="inconclusive", summary="there is no log of the Watcher to read")]
    return [
        Finding(
            outcome="pass" if len(found) <= params.max else "fail",
            summary=f"{plural(len(found), 'unhandled exception')} in "
            f"{plural(files, 'log file')}, at most {params.max} allowed",
            measured=len(found),
            limit=params.max,
            evidence=found,
        )
    ]


def _logs(view: RunView) -> Iterator[tuple[str, Iterator[tuple[int, bytes, bool]]]]:
    if (view.run.logs / _WATCHER_OUTPUT).is_file():
        yield f"logs/{_WATCHER_OUTPUT}", stream_lines(view.run.logs / _WATCHER_OUTPUT)
    for path in view.files.log_paths():
        yield view.files.ref(path), view.files.lines(path)


CHECK = Check(
    name="errors",
    title="Errors",
    origin="plan, soak C: Errors",
    judge=judge,
    params=ErrorsParams,
)
