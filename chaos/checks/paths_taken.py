"""Paths taken: every scheduled fault made the Watcher go the way it exists to exercise.

A fault names a triage path (what it leads into) and a reconnection path (how the Watcher comes
back; `chaos.record.recovery_paths`). A run in which the Watcher never met the fault proves nothing,
so a path that nothing in the record shows to have been taken is `unverified`.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.planted import met
from chaos.checks.witnessed import ASKED, ATTEMPTS
from chaos.record import recovery_paths as paths
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun
from chaos.record.signals import declared_signal

Role = Literal["triage", "reconnection"]
_FULL_PART = 0.98
_CLOCK_SLACK_S = 0.1

# A call that failed while the fault held, or that fell into the time in which nothing gets through.
_CALL_MET = """
select decision_ref(c.line), coalesce(d.id, '') || ' ' || coalesce(d.request, '')
    || ': an LLM call ' || if(c.ok, 'held up until the fault was over', 'failed')
from calls c join decisions d on d.line = c.line
where (not c.ok and c.start_s <= $to_s and c.end_s >= $from_s + $slack_s)
    or (c.start_s <= $cut_to_s and c.end_s >= $cut_from_s + $slack_s)
order by c.line, c.number limit 1
"""
_CALLED_AGAIN = """
select decision_ref(c.line), coalesce(d.id, '') || ' ' || coalesce(d.request, '')
    || ': an LLM call succeeded at attempt ' || c.attempts
from calls c join decisions d on d.line = c.line
where c.attempts > 1 and c.start_s <= $to_s and c.end_s >= $from_s + $slack_s
order by c.line, c.number limit 1
"""
# The same on the wire: for a daemon that lists no calls, or only those that led to a decision.
_ASKED_IN_VAIN = f"""
with {ASKED}
select wire_ref(line), 'a request to the LLM was ' || if(answered, 'held up until the fault was '
    'over', 'not answered')
from asked where (not answered and t_s <= $to_s and end_s >= $from_s + $slack_s)
    or (t_s <= $cut_to_s and end_s >= $cut_from_s + $slack_s)
order by line limit 1
"""
_ANSWERED_ON_WIRE = f"""
with {ATTEMPTS}
select wire_ref(line), $text from attempts
where answered and end_s > $from_s and end_s <= $to_s order by line limit 1
"""
# The same by the files of finished and waiting work, for a daemon without a log of decisions.
_ARCHIVED = """
select history_ref(line), 'work finished afterwards' from (
    select line, t_s, "queue.archived" as done, lag("queue.archived") over (order by line) as before
    from moments where "queue.archived" is not null
) where done > before and t_s > $from_s and t_s <= $to_s order by line limit 1
"""
_WAITED = """
select history_ref(line), 'work waited' from moments where t_s between $from_s and $to_s
and coalesce("queue.pending", 0) + coalesce("queue.claimed", 0) > 0 order by line limit 1
"""
_DECISION = """
select decision_ref(line), coalesce(id, '') || ' ' || coalesce(request, '') || ': ' || $text
from decisions where {} order by line limit 1
"""
_AT_WORK = "start_s <= $to_s and end_s >= $from_s + $slack_s"
_FELL_BACK = f"fallback and coalesce(calls, 0) = 0 and {_AT_WORK}"
_FINISHED = "completed and end_s > $from_s and end_s <= $to_s"
_ANSWERED = "line in (select line from calls where ok and end_s > $from_s and end_s <= $to_s)"
_SAMPLE = """
select history_ref(line), "{0}"::bigint || ' ' || $text from moments
where t_s between $from_s and $to_s and "{0}" >= $least order by line limit 1
"""
_NEW_PID = """
with old as (select "watcher.pid" as pid from moments where "watcher.pid" is not null
    and t_s < $from_s order by line desc limit 1)
select history_ref(line), 'process ' || "watcher.pid"::bigint || ' after ' || old.pid::bigint
from moments, old where t_s between $from_s and $to_s and "watcher.pid" <> old.pid
order by line limit 1
"""


class PathTaken(msgspec.Struct, frozen=True, kw_only=True):
    """One path of one scheduled fault. `evidence` shows that it was taken, or where it was not."""

    fault_id: str
    fault: str
    role: Role
    path: str
    taken: bool
    evidence: Evidence


def paths_of(run: OpenRun) -> list[PathTaken]:
    """Both paths of every scheduled fault; none for faults whose paths were not recorded."""
    declared = _declared(run)
    found = []
    for window in run.faults:
        if "unavailable" in window.states or window.trait("link"):
            continue  # said by the check of the fault's effect; the paths are those of the LLM
        for role in ("triage", "reconnection"):
            name = declared.get(window.name, {}).get(role, paths.NO_PATH)
            if name != paths.NO_PATH:
                found.append(_path(run, window, role, name))
    return found


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """One finding for all paths; none in a run without any."""
    found = paths_of(run)
    if not found:
        return []
    missed = [one for one in found if not one.taken]
    return [
        Finding(
            outcome="unverified" if missed else "pass",
            owner="harness",
            summary=f"{len(found) - len(missed)} of {len(found)} paths of scheduled faults were "
            "taken" + (f", not: {_names(missed)}" if missed else ""),
            measured=len(found) - len(missed),
            limit=len(found),
            evidence=[one.evidence for one in missed or found],
        )
    ]


def _names(missed: Iterable[PathTaken]) -> str:
    return ", ".join(f"{one.path} ({one.role}, {one.fault_id})" for one in missed)


def _declared(run: OpenRun) -> dict[str, dict[Role, str]]:
    """Fault name -> its paths, as the run recorded them; unknown shapes count as none."""
    found = run.last("fault_paths")
    listed = found[1].detail.get("paths") if found else None
    return {
        str(name): {role: str(entry[role]) for role in ("triage", "reconnection") if role in entry}
        for name, entry in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(entry, dict)
    }


def _path(run: OpenRun, window: FaultWindow, role: Role, name: str) -> PathTaken:
    state: Literal["effect_proven", "recovered"]
    state = "effect_proven" if role == "triage" else "recovered"
    rules = _TRIAGE if role == "triage" else _RECONNECTION
    seen: Evidence | None = None
    why = "the fault did not get so far"
    if state in window.states:
        # A fault of a third party may show its own path by what it measured.
        if stated := window.evidence(state).get("path_taken"):
            seen = Evidence(window.ref(state), f"the fault measured it: {stated}")
        elif name in rules:
            seen = rules[name](run, window)
        why = "nothing in the record shows that it was taken"
    head = f"{window.label}, {role} path {name!r}"
    missed = Evidence(window.last_ref, f"{head}: {why}")
    return PathTaken(
        fault_id=window.fault_id,
        fault=window.name,
        role=role,
        path=name,
        taken=seen is not None,
        evidence=missed if seen is None else Evidence(seen.ref, f"{head}: {seen.text}"),
    )


Rule = Callable[[OpenRun, FaultWindow], Evidence | None]


def _first(run: OpenRun, query: str, parameters: dict[str, Any]) -> Evidence | None:
    """The first row (reference, text) of a query."""
    row = run.one(query, {"slack_s": _CLOCK_SLACK_S, **parameters})
    return None if row is None else Evidence(*row)


def _held(run: OpenRun, window: FaultWindow) -> dict[str, float]:
    """The time in which the fault held."""
    end_s = window.at_s("recovering") or window.end_s
    return {"from_s": window.earliest_s or 0.0, "to_s": run.end_s if end_s is None else end_s}


def _afterwards(run: OpenRun, window: FaultWindow) -> dict[str, float]:
    """From the undo up to the next injected fault, or to the end."""
    after_s = window.end_s or 0.0
    later = [w.start_s for w in run.injected_faults if w.start_s and w.start_s > after_s]
    return {"from_s": window.at_s("recovering") or 0.0, "to_s": min(later, default=run.end_s)}


# -- triage paths -----------------------------------------------------------------------------


def _llm_felt(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """A call of the Watcher met the fault: it failed, fell into the cut, or succeeded late."""
    held = _held(run, window)
    cut_from_s, cut_to_s = window.cut_s(run.end_s) or (1e12, -1.0)
    cut = {**held, "cut_from_s": cut_from_s, "cut_to_s": cut_to_s}
    return (
        _first(run, _CALL_MET, cut)
        or _first(run, _CALLED_AGAIN, held)
        or _first(run, _DECISION.format(_FELL_BACK), {**held, "text": "fell back"})
        or _first(run, _ASKED_IN_VAIN, cut)
    )


def _disk_felt(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """The volume was full while the fault held, or refused the fault's own writes, and the
    Watcher had a request in hand then: an idle one meets no full disk.
    """
    held = _held(run, window)
    if refused := window.evidence("effect_proven").get("writes_refused"):
        felt: Evidence | None = Evidence(window.ref("effect_proven"), f"writes got {refused}")
    else:
        least = (run.target.workspace.size_mb << 20) * _FULL_PART
        felt = _sample(run, "disk.workspace_used_bytes", held, least, "bytes used")
    if run.target.says("decisions.started_at"):
        at_work = _first(run, _DECISION.format(_AT_WORK), {**held, "text": "at work"})
    else:
        at_work = _first(run, _WAITED, held)
    return at_work and felt and Evidence(felt.ref, f"{felt.text}; {at_work.text} meanwhile")


def _queue_felt(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """The Watcher set a request aside, or could not take one; of a fault that says what it has
    planted, that very file.
    """
    if window.planted:
        return met(run, window)
    return _first(
        run,
        "select 'artefacts/' || path, 'a request was not worked' from files "
        "where place in ('quarantined', 'pending') order by place <> 'quarantined', name limit 1",
        {},
    )


def _gone(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """The Watcher's process was another one."""
    span = {"from_s": window.earliest_s or 0.0, "to_s": _afterwards(run, window)["to_s"]}
    return _first(run, _NEW_PID, span)


def _stalled(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """Requests waited and none was finished while the fault held.

    From the moment at which the call that breaks had returned: up to then work may be finished.
    """
    held = _held(run, window)
    from_s = max(held["from_s"], (window.start_s or held["from_s"]) + _CLOCK_SLACK_S)
    finished = "select count(*) from decisions where end_s > $from_s and end_s < $to_s"
    if run.one(finished, {**held, "from_s": from_s}):
        return None
    return _sample(run, "queue.pending", held, 1.0, "pending, none finished")


def _sample(
    run: OpenRun, signal: str, span: dict[str, float], least: float, text: str
) -> Evidence | None:
    """The first sample in that time with at least so much of `signal`."""
    query = _SAMPLE.format(declared_signal(signal).name)
    return _first(run, query, {**span, "least": least, "text": text})


# -- reconnection paths -----------------------------------------------------------------------


def _answered(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """An answer of the LLM reached the Watcher after the fault was undone."""
    text = "an answer of the LLM afterwards"
    span = {**_afterwards(run, window), "text": text}
    listed = run.target.says("calls.ended_at")
    return _first(run, _DECISION.format(_ANSWERED) if listed else _ANSWERED_ON_WIRE, span)


def _server_anew(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """A new LLM server, and an answer."""
    span = {**_afterwards(run, window), "from_s": window.earliest_s or 0.0}
    started = (
        "select count(*) from servers where event = 'start' and t_s > $from_s and t_s <= $to_s"
    )
    return _answered(run, window) if run.one(started, span) else None


def _watcher_anew(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """A new Watcher, and a decision."""
    anew = _gone(run, window)
    return anew and _resumed(run, window)


def _resumed(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """A request was finished after the fault was undone."""
    span = {**_afterwards(run, window), "text": "finished afterwards"}
    decided = run.target.says("decisions.ended_at") and run.target.says("decisions.status")
    return _first(run, _DECISION.format(_FINISHED) if decided else _ARCHIVED, span)


_TRIAGE: dict[str, Rule] = {
    paths.LLM_DROP: _llm_felt,
    paths.QUEUE_CORRUPTION: _queue_felt,
    paths.DISK_EXHAUSTION: _disk_felt,
    paths.PROCESS_DIED: _gone,
    paths.STALL: _stalled,
}
_RECONNECTION: dict[str, Rule] = {
    paths.LLM_CLIENT: _answered,
    paths.LLM_SERVER_RESTART: _server_anew,
    paths.WATCHER_RESTART: _watcher_anew,
    paths.WORK_RESUMES: _resumed,
}

CHECK = Check(name="paths_taken", title="Paths taken", judge=judge, always=True)
