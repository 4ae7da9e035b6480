"""A short real run of a target: one piece of each kind of work, and what its records say of it.

Nothing is broken and nothing is judged; the run is stored like any other.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.base.errors import ChaosError
from chaos.record.target import Records, Target
from chaos.runner.api import Run, execute
from chaos.targets.llm_seen import llm_seen

WORKLOAD = "one_of_each"
_OF_WORK = ("done", "decisions", "calls")  # draws, and what is learned, may come later
_LAST_DONE_S = """
select min(t_s) from moments
where "queue.archived" = (select max("queue.archived") from moments) and "queue.archived" > 0
"""
_READY_S = "select begin_s from phases where name = 'baseline'"
_SHORT = (
    f"workload={WORKLOAD}",
    "baseline_s=1",
    "storm_s=1",
    "quiet_s=1",
)


@dataclass(frozen=True)
class Matched:
    """What a record or a place of work matched: rows, lines there are, and the first row."""

    name: str
    rows: int
    first: str
    lines: int | None = None


@dataclass
class Live:
    """What a live check saw. `undone`: work that was submitted and not seen to be done.
    `piece_s`: how long a piece of work took, one after the other, from the start of the daemon.
    """

    path: Path
    stopped: str
    problem: str
    submitted: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    matched: list[Matched] = field(default_factory=list)
    llm: list[str] = field(default_factory=list)
    piece_s: float | None = None

    @property
    def empty(self) -> list[str]:
        """Records that the work should have filled, and that matched nothing."""
        return [one.name for one in self.matched if not one.rows and one.name in _OF_WORK]


def live(name: str, target: Target, runs: Path) -> Live:
    """Run it. Raises `ChaosError` where there is nothing to look at."""
    limit_s = max(60.0, 20.0 * target.work.unit_s)
    options: dict[str, Any] = {
        "target": name,
        "overrides": [*_SHORT, f"drain_limit_s={limit_s:g}"],
    }
    with execute("soak_b", faults=["none"], seed=1, runs=runs, **options) as run:
        return _seen(run, target)


def _seen(run: Run, target: Target) -> Live:
    found = Live(run.path, *_end(run), llm=llm_seen(run, target))
    ops = run.sql("select id, outcome from ops where op = 'submit' order by line")
    found.submitted = [name for name, _ in ops]
    done = {name for (name,) in run.sql("select name from files where place = 'archived'")}
    found.undone = [name for name in found.submitted if name not in done]
    found.piece_s = seconds_a_piece(run, len(found.submitted) - len(found.undone))
    found.matched.append(_matched(run, "done", "files", "where place = 'archived'"))
    for record in Records.__struct_fields__:
        if getattr(target.records, record) is not None:
            log = target.source(record).path if record == "decisions" else ""
            found.matched.append(_matched(run, record, record, lines=_lines(run, log)))
    return found


def seconds_a_piece(run: Run, done: int) -> float | None:
    """Time from ready to the last finished piece, for each of the `done` pieces."""
    last_s, ready_s = run.sql(_LAST_DONE_S)[0][0], run.sql(_READY_S)
    return round((last_s - ready_s[0][0]) / done, 1) if last_s and ready_s and done else None


def _end(run: Run) -> tuple[str, str]:
    (stopped,) = run.sql("select stopped from run")[0]
    wrong = run.sql(
        "select detail ->> '$.message' from events where name = 'problem' order by line limit 1"
    )
    return str(stopped), str(wrong[0][0]) if wrong else ""


def _matched(
    run: Run, name: str, table: str, where: str = "", *, lines: int | None = None
) -> Matched:
    try:
        count = run.sql(f"select count(*) from {table} {where}")[0][0]
        row = run.sql(f"select to_json(t) from (select * from {table} {where} limit 1) t")
    except ChaosError as error:
        return Matched(name, 0, f"{error.place}: {error.message}", lines)
    return Matched(name, count, str(row[0][0]) if row else "", lines)


def _lines(run: Run, log: str) -> int | None:
    path = run.path / "artefacts" / log
    return path.read_bytes().count(b"\n") if log and path.is_file() else None
