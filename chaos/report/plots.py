"""The signals as data for the page's script, as small drawings for readers without it, in numbers.

The script draws with uPlot (`vendor/`). Without JavaScript, and in print, the static drawings stand
in its place. Curves are bounded already (`series.py`) and keep gaps, peaks and troughs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from chaos.base.printable import printable, value_text
from chaos.report.course import LATENCY, PANELS, Course, PanelKind
from chaos.report.series import Numbers, Point, peak

_WIDE, _HIGH = 1000, 100
_STATIC_POINTS = 400


@dataclass(frozen=True)
class Panel:
    """One plot. `svg` is "" where nothing was measured; `reason` then says why."""

    kind: PanelKind
    svg: Markup
    top: str  # the value at its upper edge
    label: str  # for people who do not see it
    rows: list[tuple[str, str, Numbers]]  # name, CSS class and numbers of each curve
    reason: str


def classes(kind: PanelKind) -> list[str]:
    """The CSS class of each curve."""
    return ["good", "bad"] if kind.dots else [f"line{n}" for n in range(len(kind.signals))]


def panels_of(course: Course) -> list[Panel]:
    """All plots, in order."""
    return [_panel(course, kind) for kind in (*PANELS, LATENCY)]


def _panel(course: Course, kind: PanelKind) -> Panel:
    curves = zip(kind.signals, classes(kind), course.numbers[kind.key], strict=True)
    rows = [(signal.name, css, found) for signal, css, found in curves if found is not None]
    if not rows:
        reason = course.absent.get(kind.source, "no sample of this run has this signal")
        if kind is LATENCY:
            reason = "no decision records an LLM call with its times"
        return Panel(kind, Markup(""), "", kind.title, [], reason)
    texts = [
        f"{name} {value_text(n.least)} to {value_text(n.most)}, at last {value_text(n.last)}"
        for name, _, n in rows
    ]
    most = peak(curve.points() for curve in course.curves[kind.key]) * 1.1 or 1.0
    label = f"{kind.title}, in {kind.unit}: {'; '.join(texts)}"
    return Panel(kind, _static(course, kind, most), value_text(most), label, rows, "")


def _static(course: Course, kind: PanelKind, most: float) -> Markup:
    """The curves without text, stretched to the width of their place."""
    parts = []
    for _, start_s, end_s in course.windows:
        at, to = (_WIDE * min(t_s / course.end_s, 1.0) for t_s in (start_s, end_s))
        parts.append(f'<rect class="shade" x="{at:.0f}" width="{to - at:.0f}" height="{_HIGH}"/>')
    for css, curve in zip(classes(kind), course.curves[kind.key], strict=True):
        line = _thinned(curve.drawn())
        path = _dots if kind.dots else _steps if kind.steps else _line
        if line:
            points = [(_WIDE * t / course.end_s, _HIGH * (1 - v / most)) for t, v in line]
            parts.append(f'<path class="{css}" d="{path(points)}"/>')
    return Markup(
        f'<svg class="static" viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


def _thinned(line: list[Point]) -> list[Point]:
    """At most so many points; of each group of neighbours the lowest and the highest are kept."""
    size = math.ceil(len(line) / (_STATIC_POINTS // 2))
    if size <= 2:
        return line
    kept = []
    for first in range(0, len(line), size):
        group = line[first : first + size]
        if gap := next((point for point in group if math.isnan(point[1])), None):
            kept.append(gap)
        values = [point for point in group if not math.isnan(point[1])]
        if values:
            low, high = min(values, key=lambda p: p[1]), max(values, key=lambda p: p[1])
            kept += sorted({low, high})
    return sorted(kept)


def _line(points: Sequence[Point]) -> str:
    text, pen = "", "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        text += f"{pen}{x:.1f} {y:.1f}"
        pen = "L"
    return text


def _steps(points: Sequence[Point]) -> str:
    text, pen = "", True
    for x, y in points:
        if math.isnan(y):
            pen = True
            continue
        text += f"M{x:.1f} {y:.1f}" if pen else f"H{x:.1f}V{y:.1f}"
        pen = False
    return text


def _dots(points: Sequence[Point]) -> str:
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points if not math.isnan(y))


def plot_data(course: Course, began_epoch_s: float | None) -> dict[str, Any]:
    """What the page's script draws. Times in run seconds, `began` in Unix seconds."""
    return {
        "end": round(course.end_s, 3),
        "began": began_epoch_s,
        "windows": [[printable(name), round(a, 3), round(b, 3)] for name, a, b in course.windows],
        "marks": [[mark.number, round(mark.t_s, 3)] for mark in course.evidence],
        "panels": [
            {
                "key": kind.key,
                "unit": kind.unit,
                "steps": kind.steps,
                "dots": kind.dots,
                "series": [
                    {"css": css, **_columns(curve.drawn(), dots=kind.dots)}
                    for css, curve in zip(classes(kind), course.curves[kind.key], strict=True)
                    if curve.count
                ],
            }
            for kind in (*PANELS, LATENCY)
            if any(curve.count for curve in course.curves[kind.key])
        ],
    }


def _columns(line: Sequence[Point], *, dots: bool) -> dict[str, list[float | None]]:
    """Times and values of a curve; null for a gap, which single values do not have."""
    kept = [(t, v) for t, v in line if not (dots and math.isnan(v))]
    return {
        "t": [round(t, 2) for t, _ in kept],
        "v": [None if math.isnan(v) else float(f"{v:.5g}") for _, v in kept],
    }
