"""The persistence points of one piece of work: the calls that make something durable, in order.

Taken from the record of a control run: renames, links, unlinks, truncations and fsyncs of the
daemon and its children, from the submission to the last one that names the work. A point is
found again by its call, the path with its random parts masked, and its place among equal ones: so
an order that varies between runs does no harm. The bytecode that Python caches is nobody's work.
Source: ALICE (Pillai et al., OSDI 2014) calls them the persistence model of an application.
"""

import glob
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from chaos.record.open_run import OpenRun

_AFTER_S = 0.5  # what follows the last call that names the piece still belongs to it
_RANDOM = re.compile(r"[0-9a-f]{8,}|\d+")
_UNFIT = re.compile(r"[,:=]")  # they part the parameters of a fault
_CALLS_OF_PIECE = """
select o.call, o.path, o.to_path, o.t_s, p.argv, o.pid = $main as main
from file_ops o left join processes p on p.pid = o.pid and p.start_s <= o.t_s + 0.02
where o.service = 'watcher' and o.call in ('rename', 'link', 'unlink', 'truncate', 'fsync')
  and o.t_s >= $from_s and o.t_s <= $to_s
  and not contains(coalesce(o.to_path, o.path), '.pyc')
qualify row_number() over (partition by o.line order by p.start_s desc nulls last) = 1
order by o.line
"""
_NAMING = """
select min(t_s), max(t_s) from file_ops
where service = 'watcher' and (contains(path, $piece) or contains(coalesce(to_path, ''), $piece))
"""


class Point(msgspec.Struct, frozen=True):
    """One persistence point. `pattern` is a glob; `nth` counts the calls that match it, from 1.

    `path`: as seen in the control, of a rename the new one. `role`: the program that makes the
    call. `after_s`: seconds from the submission.
    """

    number: int
    work: str
    call: str
    pattern: str
    nth: int
    path: str
    role: str
    after_s: float

    @property
    def key(self) -> tuple[str, str, int]:
        """Call, path (random parts masked), ordinal: by these a run finds the point again."""
        return self.call, self.pattern, self.nth

    @property
    def text(self) -> str:
        """'17 rename watcher_requests/archive/x.json'."""
        return f"{self.number} {self.call} {self.path}"


def masked(path: str) -> str:
    """The path as a glob in which every random part is a star."""
    parts = _RANDOM.split(path)
    return _UNFIT.sub("?", "*".join(glob.escape(part) for part in parts))


def points_of(run: OpenRun, work: str, piece: str) -> list[Point]:
    """The points of the control `run`, in order. `piece`: the name of what was submitted."""
    submitted = run.sql("select t_s from ops where op = 'submit' order by line limit 1")
    if not submitted:
        return []
    stem = piece.rpartition(".")[0] or piece
    first_s, last_s = run.sql(_NAMING, {"piece": stem})[0]
    # A daemon that is told of a new file, or that answers by HTTP, may begin before the submission
    # has returned.
    from_s = min(t_s for t_s in (float(submitted[0][0]), first_s) if t_s is not None)
    to_s = _end_s(run, last_s)
    main = run.sql(
        'select "watcher.pid" from moments where "watcher.pid" is not null order by line limit 1'
    )
    values = {"from_s": from_s, "to_s": to_s, "main": main[0][0] if main else None}
    rows = run.sql(_CALLS_OF_PIECE, values)
    seen: list[tuple[str, Sequence[str]]] = []
    points: list[Point] = []
    for call, path, to_path, t_s, argv, is_main in rows:
        pattern = masked(to_path or path)
        seen.append((call, [path, *([to_path] if to_path else [])]))
        points.append(
            Point(
                number=len(points) + 1,
                work=work,
                call=call,
                pattern=pattern,
                nth=sum(
                    other == call and any(fnmatchcase(name, pattern) for name in names)
                    for other, names in seen
                ),
                path=to_path or path,
                role="daemon" if is_main else _program(argv),
                after_s=round(float(t_s) - from_s, 3),
            )
        )
    return points


def _end_s(run: OpenRun, last_s: float | None) -> float:
    """The end of the piece; later the harness itself asks the daemon for things."""
    ends = run.sql(
        "select t_s from events where name = 'drained' union all "
        "select begin_s from phases where name = 'halt'"
    )
    known = [float(t_s) for (t_s,) in ends]
    known += [] if last_s is None else [float(last_s) + _AFTER_S]
    return min(known, default=float(run.end_s))


def _program(argv: Sequence[str] | None) -> str:
    """The name of a child's program: its script, its module, or its first word."""
    words = list(argv or ["?"])
    if "-m" in words[1:-1]:
        return f"child {words[words.index('-m') + 1]}"
    names = [word.rpartition("/")[2] for word in words if not word.startswith("-")]
    scripts = [name for name in names if name.endswith((".py", ".js", ".sh"))]
    return f"child {(scripts or names)[0]}"


def agreed(first: Sequence[Point], second: Sequence[Point]) -> tuple[list[Point], list[str]]:
    """(the points that both controls have, numbered anew; what only one of them has)."""
    others = {point.key for point in second}
    both = [point for point in first if point.key in others]
    keys = {point.key for point in first}
    alone = [point for point in first if point.key not in others]
    alone += [point for point in second if point.key not in keys]
    numbered = [msgspec.structs.replace(p, number=n) for n, p in enumerate(both, start=1)]
    return numbered, [f"{point.call} {point.path}" for point in alone]
