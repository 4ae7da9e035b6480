"""The timeline as SVG: phases, faults, requests, decisions, LLM calls and what witnesses saw.

Positions in time are percentages of the width and text has a fixed size, so that it reads the same
on a phone. Colours come from the page's style. Failing evidence has numbered markers that link to
its place in the page.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from chaos.base.printable import printable
from chaos.report.course import Course
from chaos.report.marks import Mark
from chaos.report.series import LANE_BUCKETS, Span

_LANE_PX = 24
_BAR_PX = 13
_MARKERS_APART = 6.0  # percent: a pill with a number on a phone
_LINES_MAX = 12
_CHARACTER = 1.3  # percent of the width that a small character takes


@dataclass(frozen=True)
class Lane:
    """One lane: its name, and its bars as (name in the course, CSS class)."""

    name: str
    bars: tuple[tuple[str, str], ...] = ()
    ticks: tuple[tuple[str, str], ...] = ()


_LANES = (
    Lane("requests", (("waiting", "waiting"),), (("submitted", "ink"),)),
    Lane(
        "decisions",
        (("by LLM", "good"), ("by heuristic", "warn"), ("failed", "bad")),
        (("decided", "cut"),),
    ),
    Lane("calls, as logged", (("answered", "good"), ("unanswered", "bad"))),
    Lane("calls, on the wire", (("came", "good"), ("came to nothing", "bad"))),
    Lane("children at work", (("child at work", "waiting"),)),
    Lane("LLM not ready", (("LLM not ready", "muted"),)),
    Lane("warnings, errors", (), (("warning", "warn"), ("error", "bad"))),
)
# CSS class -> its meaning in the legend.
LEGEND = {
    "fault": "fault in force",
    "waiting": "requests waiting, child at work",
    "ink": "request submitted",
    "good": "by the LLM, answered",
    "warn": "by the heuristic; warning",
    "bad": "failed, not answered; error",
    "lie": "a claim that a witness disproves",
    "muted": "LLM server not ready",
}


@dataclass(frozen=True)
class Timeline:
    """The drawing, the names of its rows with their heights, and the classes that it uses."""

    svg: Markup
    rows: list[tuple[str, int]]
    legend: list[tuple[str, str]]
    places: dict[str, str]  # anchor of evidence -> id of its marker


@dataclass(frozen=True)
class Marker:
    """One numbered pill: neighbouring evidence shares it."""

    marks: list[Mark]
    at: float  # percent

    @property
    def id(self) -> str:
        """The id of its element."""
        return f"marker-{self.marks[0].number}"

    @property
    def label(self) -> str:
        """The number, or the range of numbers."""
        first, last = self.marks[0].number, self.marks[-1].number
        return str(first) if first == last else f"{first}\N{EN DASH}{last}"


def timeline_of(course: Course) -> Timeline:
    """Draw the timeline of a run."""
    markers = clustered(course.evidence, course.end_s)
    lanes = [lane for lane in _LANES if _used(course, lane)]
    rows: list[tuple[str, int]] = [("phase", 20)]
    if markers:
        rows.append(("evidence", 46 if _crowded(markers) else _LANE_PX))
    if course.windows:
        rows.append(("faults", 34))
    rows += [(lane.name, _LANE_PX) for lane in lanes]
    height = sum(px for _, px in rows)
    parts: list[str] = []
    parts += _phases(course, height)
    parts += _shades(course, height)
    parts += _axis(course, height)
    used = {"fault"} if course.windows else set()
    tops = dict(zip((name for name, _ in rows), _tops(rows), strict=True))
    if course.windows:
        parts += _faults(course, tops["faults"])
    for lane in lanes:
        top = tops[lane.name] + (_LANE_PX - _BAR_PX) / 2
        parts += _bars(course, lane, top)
        used |= {css for name, css in lane.bars if course.lanes.get(name)}
        used |= {css for name, css in lane.ticks if course.marks.get(name)}
        if lane.name == "decisions" and course.lies:
            parts += _lies(course, top)
            used.add("lie")
    if markers:
        parts += _markers(course, markers, tops["evidence"], height)
    svg = (
        f'<svg class="timeline" width="100%" height="{height + 22}" role="group" '
        'aria-label="Timeline of the run; the sections below say the same in words">'
        f"{_HATCH}{''.join(parts)}</svg>"
    )
    return Timeline(
        Markup(svg),
        rows,
        [(css, text) for css, text in LEGEND.items() if css in used],
        {mark.anchor: marker.id for marker in markers for mark in marker.marks},
    )


_HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect class="hatch-paper" width="6" height="6"/>'
    '<rect class="hatch-line" width="3" height="6"/></pattern></defs>'
)


def _used(course: Course, lane: Lane) -> bool:
    return any(course.lanes.get(name) for name, _ in lane.bars) or any(
        course.marks.get(name) for name, _ in lane.ticks
    )


def _tops(rows: Sequence[tuple[str, int]]) -> Iterator[float]:
    top = 0.0
    for _, px in rows:
        yield top
        top += px


def clustered(marks: Sequence[Mark], end_s: float) -> list[Marker]:
    """Markers with enough room for their numbers; the marks are in order of time."""
    groups: list[list[Mark]] = []
    for mark in marks:
        if groups and 100 * (mark.t_s - groups[-1][0].t_s) / end_s < _MARKERS_APART:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [Marker(group, _percent(group[0].t_s, end_s)) for group in groups]


def _crowded(markers: Sequence[Marker]) -> bool:
    """Whether wide pills would touch in one row."""
    return any(
        len(a.label) + len(b.label) > 2 and b.at - a.at < 3 * _MARKERS_APART
        for a, b in pairwise(markers)
    )


def _percent(t_s: float, end_s: float) -> float:
    return 100 * min(max(t_s, 0.0), end_s) / end_s


def _text(text: str) -> str:
    return str(escape(printable(text)))


def _clipped(at: float, width: float, top: float, height: float, inner: str) -> str:
    return f'<svg x="{at:.2f}%" y="{top:g}" width="{width:.2f}%" height="{height:g}">{inner}</svg>'


def _phases(course: Course, height: float) -> Iterator[str]:
    for name, start_s, end_s in course.phases:
        at = _percent(start_s, course.end_s)
        yield f'<line class="phase" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="{height:g}"/>'
        width = _percent(end_s, course.end_s) - at
        if width > 4:
            tight = " tight" if width < 3 * _CHARACTER * len(name) else ""  # on a phone
            label = f'<text class="small muted{tight}" x="4" y="13">{_text(name)}</text>'
            yield _clipped(at, width, 0, 18, label)


def _shades(course: Course, height: float) -> Iterator[str]:
    for _, start_s, end_s in course.windows:
        at = _percent(start_s, course.end_s)
        width = _percent(end_s, course.end_s) - at
        yield (
            f'<rect class="shade" x="{at:.2f}%" y="20" width="{width:.2f}%" '
            f'height="{height - 20:g}"/>'
        )


def _faults(course: Course, top: float) -> Iterator[str]:
    free = 0.0  # from here on there is room for a label
    for label, start_s, end_s in course.windows:
        at = _percent(start_s, course.end_s)
        width = max(_percent(end_s, course.end_s) - at, 0.3)
        link = f"#fault-{label.partition(' ')[0]}"
        bar = (
            f'<rect class="fault" x="{at:.2f}%" y="{top + 17:g}" width="{width:.2f}%" height="13"/>'
        )
        yield f'<a href="{_text(link)}" aria-label="{_text(label)}">{bar}'
        room = _CHARACTER * len(label)
        if at >= free:
            anchor, x = ("end", at + width) if at + room > 100 else ("start", at)
            yield f'<text class="small" x="{x:.2f}%" y="{top + 12:g}" text-anchor="{anchor}">'
            yield f"{_text(label)}</text>"
            free = at + room
        yield "</a>"


def _bars(course: Course, lane: Lane, top: float) -> Iterator[str]:
    drawn = [(name, css) for name, css in lane.bars if course.lanes.get(name)]
    if drawn:
        paths = "".join(
            f'<path class="{css}" d="{_path(course.lanes[name], course.end_s)}"/>'
            for name, css in drawn
        )
        yield (
            f'<svg x="0" y="{top:g}" width="100%" height="{_BAR_PX}" '
            f'viewBox="0 0 {LANE_BUCKETS} 1" preserveAspectRatio="none">{paths}</svg>'
        )
    for name, css in lane.ticks:
        for t_s in course.marks.get(name, []):
            at = _percent(t_s, course.end_s)
            size = f'width="2" height="{_BAR_PX}"'
            yield f'<rect class="tick {css}" x="{at:.2f}%" y="{top:g}" {size}/>'


def _path(spans: Sequence[Span], end_s: float) -> str:
    """Rectangles of height 1 over the buckets of a lane."""
    scale = LANE_BUCKETS / end_s
    ranges = ((round(start * scale), round((start + length) * scale)) for start, length in spans)
    return "".join(f"M{a} 0h{b - a}v1h{a - b}z" for a, b in ranges)


def _lies(course: Course, top: float) -> Iterator[str]:
    for ref, start_s, end_s in course.lies:
        at = _percent(start_s, course.end_s)
        width = max(_percent(end_s, course.end_s) - at, 0.5)
        title = f"<title>{_text(ref)}: what it claims is disproven</title>"
        yield (
            f'<rect class="lie" x="{at:.2f}%" y="{top - 2:g}" width="{width:.2f}%" '
            f'height="{_BAR_PX + 4}">{title}</rect>'
        )


def _markers(course: Course, markers: Sequence[Marker], top: float, height: float) -> Iterator[str]:
    marks = course.evidence
    if len({mark.t_s for mark in marks}) <= _LINES_MAX:
        for t_s in dict.fromkeys(mark.t_s for mark in marks):
            at = _percent(t_s, course.end_s)
            line = f'x1="{at:.2f}%" x2="{at:.2f}%" y1="{top + 20:g}" y2="{height:g}"'
            yield f'<line class="at" {line}/>'
    crowded = _crowded(markers)
    for place, marker in enumerate(markers):
        first = marker.marks[0]
        y = top + 12 + (22 if crowded and place % 2 else 0)
        width = 10 + 8 * len(marker.label)
        # A pill stays inside of the drawing, whatever its width is.
        shift = max(-width / 2, -1.0) if marker.at < 3 else -width if marker.at > 97 else -width / 2
        what = f"Evidence {marker.label} at {first.t_s:.1f} s: {first.title}: {first.text}"
        yield (
            f'<a class="marker" id="{marker.id}" href="#{first.anchor}" '
            f'aria-label="{_text(what)}"><title>{_text(what)}</title>'
            f'<svg x="{marker.at:.2f}%" y="{y:g}" overflow="visible">'
            f'<rect x="{shift:g}" y="-9" width="{width}" height="18" rx="9"/>'
            f'<text x="{shift + width / 2:g}" y="4" text-anchor="middle">{marker.label}</text>'
            "</svg></a>"
        )


def _axis(course: Course, height: float) -> Iterator[str]:
    step_s = nice_step(course.end_s / 6)
    yield f'<line class="axis" x1="0" x2="100%" y1="{height:g}" y2="{height:g}"/>'
    for number in range(int(course.end_s / step_s) + 1):
        at = _percent(number * step_s, course.end_s)
        anchor = "start" if at < 2 else "end" if at > 96 else "middle"
        yield (
            f'<rect class="axis" x="{at:.2f}%" y="{height:g}" width="1" height="4"/>'
            f'<text class="small muted" x="{at:.2f}%" y="{height + 16:g}" text-anchor="{anchor}">'
            f"{clock_text(number * step_s, course.end_s)}</text>"
        )


def nice_step(least_s: float) -> float:
    """The smallest step of at least so many seconds that people count in."""
    for step_s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600):
        if step_s >= least_s:
            return float(step_s)
    return 86400.0 * math.ceil(least_s / 86400.0)


def clock_text(t_s: float, end_s: float) -> str:
    """A time on the axis of a run of so many seconds: `40 s`, `2:30 min`, `1:30 h`."""
    if end_s < 600:
        return f"{t_s:g} s"
    if t_s < 3600:
        return f"{int(t_s // 60)}:{int(t_s % 60):02d} min"
    return f"{int(t_s // 3600)}:{int(t_s % 3600 // 60):02d} h"
