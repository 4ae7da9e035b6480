"""Two runs laid over each other, as JSON: `python -m chaos.serve.overlay RUN RUN`.

A process of its own, so that a large or hostile run costs the server neither memory nor time.
Reads only. Prints `{"runs": [...]}`: per run its phases, its fault windows and its curves, at
run time, both from 0; or `{"problem": "..."}`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from chaos.base.errors import ChaosError
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.report.course import LATENCY, PANELS, Course, course_of
from chaos.report.series import Point
from chaos.report.stored import load
from chaos.serve.live import thinned

POINTS_MAX = 800  # of one curve on the page


def overlay(run: RunDir) -> dict[str, Any]:
    """The course of one judged run as plain data. Raises `ChaosError`."""
    stored = load(run)
    with OpenRun(run) as opened:
        course = course_of(opened, stored.verdict)
    return {
        "end_s": course.end_s,
        "phases": [list(phase) for phase in course.phases],
        "windows": [list(window) for window in course.windows],
        "curves": _curves(course),
    }


def _curves(course: Course) -> dict[str, list[Point]]:
    curves = {
        f"{panel.key}.{number}": curve.points()
        for panel in (*PANELS, LATENCY)
        for number, curve in enumerate(course.curves[panel.key])
    }
    return {name: _fewer(points) for name, points in curves.items() if points}


def _fewer(points: list[Point]) -> list[Point]:
    while len(points) > POINTS_MAX:
        points = thinned(points)
    return [(round(t_s, 2), round(value, 4)) for t_s, value in points]


def main(argv: list[str] | None = None) -> int:
    """RUN RUN: print both."""
    words = sys.argv[1:] if argv is None else argv
    try:
        content: dict[str, Any] = {"runs": [overlay(RunDir(Path(word))) for word in words]}
    except ChaosError as error:
        content = {"problem": str(error)}
    json.dump(content, sys.stdout, separators=(",", ":"), allow_nan=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
