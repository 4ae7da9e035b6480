"""Order witnessed: requests were really taken in the order in which they arrived.

`fifo` believes the times in the decision log. This check looks at the request files and the child
processes: which request was moved out of the waiting ones first, or worked on first. A daemon that
works on one request after the other is judged by its work: it may claim many at once. One that
works on several at a time is judged by its claims, because their work begins as it comes. Where
neither is seen, nothing is said. Judged where the experiment asks for the order (`fifo`) and the
target does not say that there is none; an order by name is judged as there.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.fifo import FIFOParams
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.queue_replay import Request, children_by_request, replayed
from chaos.checks.witnessed import finding_of, not_witnessed
from chaos.record.open_run import OpenRun

_ONE_LOOK_S = 1.0
_SUBMITTED = "select name, t_s from emitted where source = 'harness' and t_s is not null order by 2"
_NOT_JUDGED = "select name from planted union select name from emitted where source = 'fault'"


@dataclass(frozen=True)
class _Served:
    name: str
    arrived_s: float
    by_harness: bool
    taken_s: float
    by_work: bool
    line: int


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None where no order is asked for, or where fewer than two requests were seen."""
    if "fifo" not in run.criteria or "fifo" in run.target.not_applicable:
        return []
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    tie_s = float(run.criteria["fifo"].get("tie_s", FIFOParams().tie_s))
    served = sorted(_served(run), key=lambda one: one.taken_s)
    if len(served) < 2:
        return []
    summary = f"of {plural(len(served), 'request')} were seen to be taken after later ones"
    promised = run.target.work.order == "arrival"
    return finding_of(
        list(_overtaken(served, tie_s, promised=promised)),
        passed=f"0 {summary}",
        failed=f"{{wrong}} {summary}",
    )


def _served(run: OpenRun) -> Iterator[_Served]:
    excluded = {name for (name,) in run.sql(_NOT_JUDGED)}
    submitted: dict[str, list[float]] = {}
    for name, t_s in run.sql(_SUBMITTED):
        submitted.setdefault(name, []).append(t_s)
    work_s = {name: found[0].start_s for name, found in children_by_request(run).items()}
    requests = [r for r in replayed(run).requests.values() if r.name not in excluded and r.taken]
    worked = [r for r in requests if r.name in work_s]
    by_work = len(worked) > 1 and _serial(worked, work_s)
    for request in worked if by_work else requests:
        taken: Any = request.taken
        if not by_work and taken.to_place in ("archived", "quarantined"):
            continue  # seen at its end only
        taken_s = work_s[request.name] if by_work else taken.t_s
        own = [call.t_s for call in request.emitted if call.call != "open"]
        arrivals = [t_s for t_s in submitted.get(request.name) or own if t_s <= taken_s]
        if arrivals:
            by_harness = request.name in submitted
            yield _Served(request.name, arrivals[-1], by_harness, taken_s, by_work, taken.line)


def _serial(requests: list[Request], work_s: dict[str, float]) -> bool:
    """Whether each request was finished before the work on the next one began."""
    spans = sorted((work_s[r.name], r.archived[0].t_s) for r in requests if r.archived)
    return all(end_s <= begin_s for (_, end_s), (begin_s, _) in pairwise(spans))


def _overtaken(served: list[_Served], tie_s: float, *, promised: bool) -> Iterator[Evidence]:
    """Of those in the order of service: who came before one that was taken earlier.

    Claims within a second are those of one look at the queue. Where no order is `promised`, one
    with a lower name may be taken first.
    """
    latest: dict[bool, _Served] = {}  # by whether the harness submitted it
    earlier = deque(served)
    for one in served:
        before_s = one.taken_s - (0.0 if one.by_work else _ONE_LOOK_S)
        while earlier[0] is not one and earlier[0].taken_s <= before_s:
            other = earlier.popleft()
            last = latest.get(other.by_harness)
            if last is None or other.arrived_s > last.arrived_s:
                latest[other.by_harness] = other
        for by_harness, other in latest.items():
            if not promised and other.name < one.name:
                continue
            allowed_s = 0.0 if one.by_harness and by_harness else tie_s
            if other.arrived_s > one.arrived_s + allowed_s:
                text = (
                    f"{one.name} arrived at {one.arrived_s:.2f} s and was taken at "
                    f"{one.taken_s:.2f} s, after {other.name}, which arrived at "
                    f"{other.arrived_s:.2f} s and was taken at {other.taken_s:.2f} s"
                )
                yield Evidence(f"witness.jsonl:{one.line}", text)
                break


CHECK = Check(
    name="order_witnessed",
    says=("work.pending",),
    title="Order witnessed",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
