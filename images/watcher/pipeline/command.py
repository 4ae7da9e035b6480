"""The shared command line of the pipeline's programs: options, staging folder, exit codes, errors.

For: `pipeline.run` and `pipeline.selfplay`.
Must not know: what the steps do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.artefacts import RESULT, PipelineError, Stage

EFFORTS = ("light", "normal", "thorough")
EXIT_OK, EXIT_BAD_INPUT = 0, 1
REQUEST_NAME_MAX = 255


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every program of the pipeline has."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="staging folder; everything is written here, under its final relative name",
    )
    parser.add_argument("--effort", choices=EFFORTS, default="normal", help="default: %(default)s")
    parser.add_argument("--request", default="manual", metavar="NAME", help="request being served")


def open_stage(out: Path, request: str) -> Stage:
    """Create the staging folder `out`; the workspace is the current folder.

    Raises PipelineError if `out` or `request` cannot be used.
    """
    workspace = Path.cwd()
    if out.resolve() == workspace.resolve():
        raise PipelineError("--out must not be the workspace itself")
    if not request or len(request) > REQUEST_NAME_MAX or "/" in request:
        raise PipelineError(f"--request must be a plain name of 1..{REQUEST_NAME_MAX} characters")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(f"--out {out}: {error.strerror}") from error
    return Stage(workspace, out)


def guarded(program: str, stage_and_work: Callable[[], None], out: Path) -> int:
    """Run `stage_and_work`, and return the exit code.

    On a PipelineError it prints one line, empties `out`, and returns 1.
    """
    try:
        stage_and_work()
    except PipelineError as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        _discard(out)
        return EXIT_BAD_INPUT
    return EXIT_OK


def _discard(out: Path) -> None:
    """Empty the staging folder, so that a failed call leaves nothing to publish."""
    if not out.is_dir() or out.resolve() == Path.cwd().resolve():
        return
    (out / RESULT).unlink(missing_ok=True)
    for entry in out.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
