"""Plots as SVG to stand inside a page: text stays text, colours come from the page's style.

The only module that imports matplotlib, which takes a second and 60 MB: it is for the process
that writes a page, not for one that watches a run.
"""

import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from chaos.report.course import Course, PanelKind
from chaos.report.series import peak

# Drawn in colours that mean nothing, each put back as a variable of the page's style.
_INK, _MUTED, _GRID, _FAULT, _GOOD, _BAD, _WARN, _PAPER = (f"#fe01a{n}" for n in range(8))
_LINES = ("#fe01b0", "#fe01b1", "#fe01b2")
_VARIABLES = {
    _INK: "ink",
    _MUTED: "muted",
    _GRID: "grid",
    _FAULT: "fault",
    _GOOD: "good",
    _BAD: "bad",
    _WARN: "warn",
    _PAPER: "card",
    **{colour: f"line{number}" for number, colour in enumerate(_LINES)},
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": _INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.parse_math": False,  # a name with a dollar sign is a name
    "path.simplify": False,  # the curves are bounded already, and their peaks matter
}
_PANEL_INCHES = (5.0, 2.1)
_TIMELINE_INCHES = (9.6, 2.9)
_PANEL_MARGINS = {"left": 0.115, "right": 0.985, "bottom": 0.225, "top": 0.87}
_TIMELINE_MARGINS = {"left": 0.085, "right": 0.99, "bottom": 0.165, "top": 0.985}
_STRIPPED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_OWN_ID = re.compile(r'(\bid="|href="#|url\(#)')


def panel_svg(course: Course, kind: PanelKind) -> str:
    """The curves of one panel over the time of the run; "" when nothing was measured."""
    curves = [curve.line() for curve in course.curves[kind.key]]
    if not any(curves):
        return ""
    with _canvas(course, _PANEL_INCHES) as (figure, axes, finish):
        shown = [(s, line) for s, line in zip(kind.signals, curves, strict=True) if line]
        for number, (signal, line) in enumerate(shown):
            axes.plot(
                [t_s for t_s, _ in line],
                [value for _, value in line],
                color=_LINES[number],
                label=signal.name,
                drawstyle="steps-post" if kind.steps else "default",
                linestyle=("-", "--", ":")[number],  # told apart without colour, too
            )
        _scale(axes, peak(curves), whole=kind.steps)
        axes.set_ylabel(kind.unit)
        _legend(figure, axes, len(shown))
        return finish(kind.key)


def latency_svg(course: Course) -> str:
    """How long each LLM call took, at the moment it was made; "" without any."""
    groups = (
        ("answered", course.answered.points(), _GOOD, "o"),
        ("not answered", course.unanswered.points(), _BAD, "x"),
    )
    shown = [group for group in groups if group[1]]
    if not shown:
        return ""
    with _canvas(course, _PANEL_INCHES) as (figure, axes, finish):
        for name, points, colour, marker in shown:
            axes.plot(
                [t_s for t_s, _ in points],
                [value for _, value in points],
                linestyle="none",
                marker=marker,
                markersize=3.5,
                color=colour,
                label=name,
            )
        _scale(axes, peak(points for _, points, _, _ in shown), whole=False)
        axes.set_ylabel("seconds")
        _legend(figure, axes, len(shown))
        return finish("latency")


def timeline_svg(course: Course) -> str:
    """Phases, faults, requests, decisions and LLM calls on lanes over the same time."""
    with _canvas(course, _TIMELINE_INCHES) as (_, axes, finish):
        lanes: list[str] = ["events", "LLM calls", "LLM server", "decisions", "requests", "faults"]
        height = 0.56
        axes.grid(visible=False, axis="y")
        bars = (
            ("requests", "waiting", _LINES[0], 0.55),
            ("decisions", "by LLM", _GOOD, 1.0),
            ("decisions", "by heuristic", _WARN, 1.0),
            ("decisions", "failed", _BAD, 1.0),
            ("LLM calls", "answered", _GOOD, 1.0),
            ("LLM calls", "unanswered", _BAD, 1.0),
            ("LLM server", "LLM not ready", _MUTED, 0.6),
        )
        for lane, name, colour, alpha in bars:
            if stretches := course.lanes.get(name, []):
                bottom = lanes.index(lane) - height / 2
                axes.broken_barh(
                    stretches, (bottom, height), facecolors=colour, alpha=alpha, linewidth=0
                )
        top = lanes.index("faults")
        for name, start_s, end_s in course.windows:
            axes.broken_barh([(start_s, end_s - start_s)], (top - 0.3, 0.6), facecolors=_FAULT)
            if len(course.windows) <= 8:
                axes.annotate(name, (start_s, top + 0.42), fontsize=8, va="bottom")
        for mark, lane, colour in (
            ("decided", "decisions", _PAPER),
            ("submitted", "requests", _INK),
            ("warning", "events", _WARN),
            ("error", "events", _BAD),
        ):
            times = course.marks.get(mark, [])
            axes.plot(times, [lanes.index(lane)] * len(times), "|", color=colour, markersize=12)
        axes.set_yticks(range(len(lanes)), lanes)
        axes.set_ylim(-0.6, len(lanes) + 0.75)
        axes.tick_params(axis="y", length=0)
        _mark_phases(course, axes, len(lanes) + 0.35)
        return finish("timeline")


def _mark_phases(course: Course, axes: Axes, height: float) -> None:
    for name, start_s, end_s in course.phases:
        axes.axvline(start_s, color=_MUTED, linewidth=0.7, linestyle=(0, (2, 2)))
        if end_s - start_s > 0.07 * course.end_s:
            axes.annotate(
                name, ((start_s + end_s) / 2, height), ha="center", color=_MUTED, fontsize=9
            )


@contextmanager
def _canvas(
    course: Course, inches: tuple[float, float]
) -> Iterator[tuple[Figure, Axes, Callable[[str], str]]]:
    """A figure with the run's time below and the fault windows shaded."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not the taste of the user's own matplotlibrc
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=inches)
        # Fixed margins: fitting them to the text would take longer than all the rest.
        figure.subplots_adjust(**(_TIMELINE_MARGINS if inches[0] > 8 else _PANEL_MARGINS))
        axes = figure.add_subplot()
        axes.set_xlim(0, course.end_s)
        for _, start_s, end_s in course.windows:
            axes.axvspan(start_s, end_s, facecolor=_FAULT, alpha=0.16, linewidth=0)
        factor, unit = _time_unit(course.end_s)
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 5, 6, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda t_s, _: f"{t_s / factor:g}"))
        if factor > 1:
            _whole_units(axes, course.end_s, factor)
        axes.set_xlabel(f"{unit} since the start of the run")
        yield figure, axes, lambda name: _inline(figure, name)


def _time_unit(end_s: float) -> tuple[float, str]:
    if end_s > 3 * 3600:
        return 3600.0, "hours"
    return (60.0, "minutes") if end_s > 600 else (1.0, "seconds")


def _whole_units(axes: Axes, end_s: float, factor: float) -> None:
    step = max(1, math.ceil(end_s / factor / 8))
    axes.set_xticks([n * factor for n in range(0, int(end_s / factor) + 1, step)])


def _scale(axes: Axes, most: float, *, whole: bool) -> None:
    axes.set_ylim(0, most * 1.12 if most > 0 else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=whole and most >= 1))


def _legend(figure: Figure, axes: Axes, entries: int) -> None:
    if entries:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=entries, borderaxespad=0.1)


def _inline(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element that fits its container, its ids its own."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = _STRIPPED.sub("", buffer.getvalue()).strip()
    text = _OWN_ID.sub(rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', text, count=1)
