"""Watcher alive: it did not end before it was told to, except where a fault ended it on purpose.

A fault that ends the Watcher says so of itself (`ends`); a death within its window is intended.
At an error that a fault has injected, and at which the Watcher may end, it must name the error.
This check also judges that the Watcher then stops in time and cleanly when asked to, and that it
comes back when it is started again. The services of the target are judged alike.
"""

from collections import Counter

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.fault_window import FaultWindow
from chaos.record.history import Event, FaultState
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
select count(distinct "{0}") = 1 and count("{0}") = count(*) from moments
where t_s between $from_s and $to_s
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak A, "Process alive". A run in which it never started has nothing to say."""
    if not run.named("watcher_exit") and run.last("ready") is None:
        return []
    ending = [window for window in run.injected_faults if ended_program(run, window)]
    exits = exits_by_itself(run)
    by_itself = [
        run.evidence(line, f"died at {event.t_s:.1f} s: {_detail(event.detail)}")
        for line, event in exits
    ]
    unclean = [found for window in ending if (found := _unclean(run, window)) is not None]
    silent = [found for window in ending if (found := _silent(window)) is not None]
    lost = not_returned(run)
    died = Counter(str(event.detail.get("service", "the Watcher")) for _, event in exits)
    said = [f"{program} died {plural(times, 'time')}" for program, times in died.items()]
    if unclean:
        said.append(f"it did not stop as asked {plural(len(unclean), 'time')}")
    if silent:
        said.append(f"it ended at an error without naming it {plural(len(silent), 'time')}")
    if lost:
        said.append(f"it did not come back {plural(len(lost), 'time')}")
    meant = sum(_ended(run, window) for window in ending) - len(silent)
    intended = f" ({plural(meant, 'fault')} ended it on purpose)" if meant > 0 else ""
    wrong = by_itself + unclean + silent + lost
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


def ended_program(run: OpenRun, window: FaultWindow) -> str | None:
    """The program of the daemon that the fault ends, or may end, by its nature: watcher, or a
    service of the target.
    """
    return next((name for name in ("watcher", *run.target.services) if name in window.ends), None)


def exits_by_itself(run: OpenRun) -> list[tuple[int, Event]]:
    """(line, event) of each exit of the Watcher, or of a service of the target, that no fault
    meant.
    """
    exits = [*run.named("watcher_exit")]
    exits += [(line, e) for line, e in run.named("service_exit") if e.owner == "product"]
    return sorted(
        (line, event)
        for line, event in exits
        if not any(
            event.detail.get("service", "watcher") in window.ends
            and _within(run, window, event.t_s)
            for window in run.faults
        )
    )


def not_returned(run: OpenRun) -> list[Evidence]:
    """Each fault that ended a program of the daemon and after which it did not come back; without
    one, that the Watcher was not there any more at last.
    """
    ending = [window for window in run.faults if ended_program(run, window)]
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
    program = ended_program(run, window)
    exits = run.named("watcher_exit") if program == "watcher" else []
    if any(_within(run, window, event.t_s) for _, event in exits):
        return True
    span = {"from_s": (window.earliest_s or 0.0) - 2.0, "to_s": window.until_s(run.end_s) + 2.0}
    signal = f"{program}.pid"
    return not run.sampled(signal) or not run.one(_SAME_PROCESS.format(signal), span)


def _unclean(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """It was asked to stop, and did not within its limit, or with an error."""
    stop = window.evidence("effect_proven").get("stop")
    if not isinstance(stop, dict):
        return None
    spec = run.target.services.get(ended_program(run, window) or "", run.target.watcher)
    limit_s = spec.stop_limit_s
    took_s = stop.get("took_s")
    late = isinstance(took_s, (int, float)) and took_s > limit_s
    if stop.get("clean", True) and not late:
        return None
    text = f"{window.label}, asked to stop: {_detail(stop)}"
    text += f" (limit {limit_s:g} s)" if late else ""
    return Evidence(window.ref("effect_proven"), text)


def _silent(window: FaultWindow) -> Evidence | None:
    """It ended at an error of a call, and neither printed nor logged which one."""
    states: tuple[FaultState, ...] = ("recovered", "recovery_unproven")
    for state in states:
        end = window.evidence(state)
        if end.get("said") == "":
            text = (
                f"{window.label}: it ended with exit code {end.get('exit_code')} and named no error"
            )
            last = str(end.get("last_words") or "")[:_SHOWN_CHARS]
            return Evidence(window.ref(state), f"{text}; its last line: {last or 'none'}")
    return None


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
