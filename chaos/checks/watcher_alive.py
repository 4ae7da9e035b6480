"""Watcher alive: it did not end before it was told to, except where a fault ended it on purpose.

A fault that ends the Watcher says so of itself (`ends`); a death within its window is intended.
This check also judges that the Watcher then stops in time and cleanly when asked to, and that it
comes back when it is started again.
"""

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.fault_window import FaultWindow
from chaos.record.history import Event
from chaos.record.open_run import OpenRun

_SHOWN_CHARS = 200
# Without a process for so long, outside every window of a fault that ends it: it is not back.
_ABSENT_S = 10.0
# The samples without a process after the last window of a fault that ends the Watcher.
_ABSENT = """
with ends as (
    select coalesce(max(until_s), 0) as after_s from faults
    where injected_s is not null and list_contains(ends, 'watcher')
), watched as (
    select m.line, m.t_s, "watcher.pid" as pid from moments m, ends, run
    where t_s between greatest(from_s, after_s) and to_s
)
select min(line), max(t_s) - min(t_s) from watched
where pid is null and line > coalesce((select max(line) from watched where pid is not null), 0)
    and exists (select 1 from moments where "watcher.pid" is not null)
"""
_SAME_PROCESS = """
select count(distinct "watcher.pid") = 1 and count("watcher.pid") = count(*) from moments
where t_s between $from_s and $to_s
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak A, "Process alive". A run in which it never started has nothing to say."""
    if not run.named("watcher_exit") and run.last("ready") is None:
        return []
    ending = [window for window in run.injected_faults if ends_watcher(window)]
    by_itself = [
        run.evidence(line, f"died at {event.t_s:.1f} s: {_detail(event.detail)}")
        for line, event in exits_by_itself(run)
    ]
    unclean = [found for window in ending if (found := _unclean(run, window)) is not None]
    lost = not_returned(run)
    said = []
    if by_itself:
        said.append(f"the Watcher died {plural(len(by_itself), 'time')}")
    if unclean:
        said.append(f"it did not stop as asked {plural(len(unclean), 'time')}")
    if lost:
        said.append(f"it did not come back {plural(len(lost), 'time')}")
    meant = sum(_ended(run, window) for window in ending)
    intended = f" ({plural(meant, 'fault')} ended it on purpose)" if meant else ""
    wrong = by_itself + unclean + lost
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=(", ".join(said) or "the Watcher never ended by itself") + intended,
            measured=len(wrong),
            limit=0,
            evidence=wrong,
        )
    ]


def ends_watcher(window: FaultWindow) -> bool:
    """Whether the fault ends the Watcher, or may do so, by its nature."""
    return "watcher" in window.ends


def exits_by_itself(run: OpenRun) -> list[tuple[int, Event]]:
    """(line, event) of each exit of the Watcher that no fault meant."""
    ending = [window for window in run.faults if ends_watcher(window)]
    return [
        (line, event)
        for line, event in run.named("watcher_exit")
        if not any(_within(run, window, event.t_s) for window in ending)
    ]


def not_returned(run: OpenRun) -> list[Evidence]:
    """Each fault that ended the Watcher and after which it did not come back; without one, that it
    was not there any more at last.
    """
    ending = [window for window in run.faults if ends_watcher(window)]
    found = [lost for window in ending if (lost := _lost(window)) is not None]
    line, absent_s = run.one(_ABSENT)
    if not found and line is not None and absent_s >= _ABSENT_S:
        text = f"no process of it in the last {absent_s:.0f} s before the halt"
        found.append(run.evidence(line, text))
    return found


def _within(run: OpenRun, window: FaultWindow, t_s: float) -> bool:
    since_s = window.earliest_s
    return since_s is not None and since_s <= t_s <= window.until_s(run.end_s)


def _ended(run: OpenRun, window: FaultWindow) -> bool:
    """Whether the process after the fault is another one, or none."""
    if any(_within(run, window, event.t_s) for _, event in run.named("watcher_exit")):
        return True
    span = {"from_s": (window.earliest_s or 0.0) - 2.0, "to_s": window.until_s(run.end_s) + 2.0}
    return not run.sampled("watcher.pid") or not run.one(_SAME_PROCESS, span)


def _unclean(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """It was asked to stop, and did not within its limit, or with an error."""
    stop = window.evidence("effect_proven").get("stop")
    if not isinstance(stop, dict):
        return None
    limit_s = run.target.watcher.stop_limit_s
    took_s = stop.get("took_s")
    late = isinstance(took_s, (int, float)) and took_s > limit_s
    if stop.get("clean", True) and not late:
        return None
    text = f"{window.label}, asked to stop: {_detail(stop)}"
    text += f" (limit {limit_s:g} s)" if late else ""
    return Evidence(window.ref("effect_proven"), text)


def _lost(window: FaultWindow) -> Evidence | None:
    """It was started again, and was not ready or did not stay."""
    why = window.evidence("recovery_unproven").get("did_not_return")
    if not why:
        return None
    text = f"{window.label}, started again: {str(why)[:_SHOWN_CHARS]}"
    return Evidence(window.ref("recovery_unproven"), text)


def _detail(detail: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in detail.items()) or "no details"


CHECK = Check(
    name="watcher_alive",
    title="Watcher alive",
    origin="plan, soak A: Process alive",
    judge=judge,
    always=True,
)
