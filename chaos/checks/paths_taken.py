"""Paths taken: every scheduled fault made the Watcher go the way it exists to exercise.

A fault names a triage path (what it leads into) and a reconnection path (how the Watcher comes
back; `chaos.record.recovery_paths`). A pass of a run in which the
Watcher never met the fault proves nothing, so a path that nothing in the record shows to have been
taken is `unverified`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.planted import felt
from chaos.checks.run_view import FaultWindow, RunView
from chaos.checks.watcher_files import Decision
from chaos.record import recovery_paths as paths

if TYPE_CHECKING:  # numpy is not needed to check the names of criteria
    from chaos.checks.hash_sets import Mask, Times

Role = Literal["triage", "reconnection"]
_FULL_PART = 0.98
_CLOCK_SLACK_S = 0.1
_CALLS_READ_MAX = 200


class PathTaken(msgspec.Struct, frozen=True, kw_only=True):
    """One path of one scheduled fault. `evidence` shows that it was taken, or where it was not."""

    fault_id: str
    fault: str
    role: Role
    path: str
    taken: bool
    evidence: Evidence


def paths_of(view: RunView) -> list[PathTaken]:
    """Both paths of every scheduled fault; none for faults whose paths were not recorded."""
    declared = _declared(view)
    found = []
    for window in view.faults:
        if "unavailable" in window.states:
            continue  # said by the check of the fault's effect
        for role in ("triage", "reconnection"):
            name = declared.get(window.name, {}).get(role, paths.NO_PATH)
            if name != paths.NO_PATH:
                found.append(_path(view, window, role, name))
    return found


def judge(view: RunView, params: Params) -> list[Finding]:
    """One finding for all paths; none in a run without any."""
    found = paths_of(view)
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


def _declared(view: RunView) -> dict[str, dict[Role, str]]:
    """Fault name -> its paths, as the run recorded them; unknown shapes count as none."""
    found = view.last("fault_paths")
    listed = found[1].detail.get("paths") if found else None
    return {
        str(name): {role: str(entry[role]) for role in ("triage", "reconnection") if role in entry}
        for name, entry in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(entry, dict)
    }


def _path(view: RunView, window: FaultWindow, role: Role, name: str) -> PathTaken:
    state: Literal["effect_proven", "recovered"]
    state = "effect_proven" if role == "triage" else "recovered"
    seen: Evidence | None = None
    why = "the fault did not get so far"
    if state in window.states:
        seen = _stated(window, state, role) or _rule(role, name)(view, window)
        why = "nothing in the record shows that it was taken"
    head = f"{window.fault_id} {window.name}, {role} path {name!r}"
    where = max((line for line, _ in window.states.values()), default=0)
    missed = Evidence(f"history.jsonl:{where}" if where else "schedule.json", f"{head}: {why}")
    return PathTaken(
        fault_id=window.fault_id,
        fault=window.name,
        role=role,
        path=name,
        taken=seen is not None,
        evidence=missed if seen is None else Evidence(seen.ref, f"{head}: {seen.text}"),
    )


Rule = Callable[[RunView, FaultWindow], Evidence | None]


def _rule(role: Role, name: str) -> Rule:
    """How the record shows `name`; a path that nobody knows is shown by nothing."""
    return (_TRIAGE if role == "triage" else _RECONNECTION).get(name, lambda *_: None)


def _stated(
    window: FaultWindow, state: Literal["effect_proven", "recovered"], role: Role
) -> Evidence | None:
    """A fault of a third party may show its own path by what it measured: `path_taken`."""
    told = window.evidence(state).get("path_taken")
    return Evidence(window.ref(state), f"the fault measured it: {told}") if told else None


def _span(view: RunView, window: FaultWindow) -> tuple[float, float]:
    start_s = window.earliest_s or 0.0
    end_s = window.at_s("recovering") or window.end_s
    return start_s, view.end_s if end_s is None else end_s


def _until(view: RunView, window: FaultWindow) -> float:
    """Up to the next injected fault, or to the end: there the way back can be seen."""
    after_s = window.end_s or 0.0
    later = [start for _, start, _ in view.injected_faults if start > after_s]
    return min(later, default=view.end_s)


# -- triage paths -----------------------------------------------------------------------------


def _llm_felt(view: RunView, window: FaultWindow) -> Evidence | None:
    """A call of the Watcher met the fault: it failed, or (where nothing can get through) it fell
    into that time at all.
    """
    table = view.files.decisions
    met = ~table.call_ok & _met(table.call_start_s, table.call_end_s, _span(view, window))
    if window.cut_s is not None:
        met |= _met(table.call_start_s, table.call_end_s, window.cut_s)
    calls = met.nonzero()[0]
    if len(calls):
        first = int(calls[0])
        text = "held up until the fault was over" if table.call_ok[first] else "failed"
        return _line(view, table[int(table.call_of[first])], f"an LLM call {text}")
    again = _asked_again(view, window)
    if again is not None:
        return again
    silent = table.fallback & (table.call_count == 0)
    return _first(view, silent & _met(table.start_s, table.end_s, _span(view, window)), "fell back")


def _asked_again(view: RunView, window: FaultWindow) -> Evidence | None:
    """A call that succeeded, but not at its first attempt. Read line by line, hence bounded."""
    of = view.target.decisions.call
    table = view.files.decisions
    if of is None or not of.attempts:
        return None
    span_s = _span(view, window)
    met = _met(table.call_start_s, table.call_end_s, span_s).nonzero()[0]
    for index in sorted(set(table.call_of[met[:_CALLS_READ_MAX]].tolist())):
        told_calls = table.entry(index).get(view.target.decisions.calls)
        listed = told_calls if isinstance(told_calls, list) else []
        of_calls = [call for call in listed if isinstance(call, dict)]
        for call, known in zip(of_calls, table[index].calls, strict=False):
            told = call.get(of.attempts)
            later = known.start_s is None or known.start_s > span_s[1]
            if isinstance(told, int) and told > 1 and not later:
                return _line(view, table[index], f"an LLM call succeeded at attempt {told}")
    return None


def _met(start_s: Times, end_s: Times, span_s: tuple[float, float]) -> Mask:
    """What was going on within a span, a touch of its beginning aside; times may be NaN."""
    met: Mask = (start_s <= span_s[1]) & (end_s >= span_s[0] + _CLOCK_SLACK_S)
    return met


def _first(view: RunView, which: Mask, text: str) -> Evidence | None:
    """The first of the decisions chosen, as evidence."""
    found = which.nonzero()[0]
    return _line(view, view.files.decisions[int(found[0])], text) if len(found) else None


def _disk_felt(view: RunView, window: FaultWindow) -> Evidence | None:
    """The volume was full while the fault held, or refused the fault's own writes, and the
    Watcher had a request in hand then: an idle one meets no full disk.
    """
    refused = window.evidence("effect_proven").get("writes_refused")
    total = view.target.workspace.size_mb * (1 << 20)
    felt = _sample(view, window, "disk.workspace_used_bytes", total * _FULL_PART, "bytes used")
    if refused:
        felt = Evidence(window.ref("effect_proven"), f"writes got {refused}")
    table = view.files.decisions
    at_work = _first(view, _met(table.start_s, table.end_s, _span(view, window)), "at work")
    return at_work and felt and Evidence(felt.ref, f"{felt.text}; {at_work.text} meanwhile")


def _queue_felt(view: RunView, window: FaultWindow) -> Evidence | None:
    """The Watcher set a request aside, or could not take one; of a fault that says what it has
    planted, that very file.
    """
    if window.planted:
        return felt(view, window)
    queue = view.target.queue
    for pattern, names in ((queue.quarantined, view.files.quarantined),
                           (queue.pending, view.files.pending)):  # fmt: skip
        if names:
            ref = f"artefacts/{pattern.rpartition('/')[0]}/{names[0]}"
            return Evidence(ref, "a request was not worked")
    return None


def _gone(view: RunView, window: FaultWindow) -> Evidence | None:
    """The Watcher's process was no longer there, or was another one."""
    return _new_pid(view, "watcher.pid", _span(view, window)[0], _until(view, window))


def _stalled(view: RunView, window: FaultWindow) -> Evidence | None:
    """Requests waited and none was finished while the fault held.

    From the moment at which the call that breaks had returned: up to then work may be finished.
    """
    start_s, end_s = _span(view, window)
    start_s = max(start_s, (window.start_s or start_s) + _CLOCK_SLACK_S)
    ends_s = view.files.decisions.end_s
    if bool(((ends_s > start_s) & (ends_s < end_s)).any()):
        return None
    return _sample(view, window, "queue.pending", 1.0, "pending, none finished")


def _sample(
    view: RunView, window: FaultWindow, key: str, least: float, text: str
) -> Evidence | None:
    """The first sample while the fault held with at least so much in it."""
    start_s, end_s = _span(view, window)
    table = view.samples
    values = table.column(key)
    hits = ((table.t_s >= start_s) & (table.t_s <= end_s) & (values >= least)).nonzero()[0]
    if not len(hits):
        return None
    first = int(hits[0])
    return view.evidence(int(table.lines[first]), f"{float(values[first]):.0f} {text}")


def _new_pid(view: RunView, key: str, start_s: float, end_s: float) -> Evidence | None:
    table = view.samples
    pids = table.column(key)
    before = pids[(table.t_s < start_s) & (pids == pids)]
    after = ((table.t_s >= start_s) & (table.t_s <= end_s)).nonzero()[0]
    for index in after.tolist():
        if len(before) and pids[index] == pids[index] and pids[index] != before[-1]:
            text = f"process {float(pids[index]):.0f} after {float(before[-1]):.0f}"
            return view.evidence(int(table.lines[index]), text)
    return None


# -- reconnection paths -----------------------------------------------------------------------


def _answered(view: RunView, window: FaultWindow) -> Evidence | None:
    """An answer of the LLM reached the Watcher after the fault was undone."""
    since_s, until_s = window.at_s("recovering") or 0.0, _until(view, window)
    table = view.files.decisions
    answered = table.call_ok & (table.call_end_s > since_s) & (table.call_end_s <= until_s)
    return _first(view, table.any_call(answered), "an answer of the LLM afterwards")


def _server_anew(view: RunView, window: FaultWindow) -> Evidence | None:
    """A new LLM server, and an answer."""
    since_s, until_s = window.earliest_s or 0.0, _until(view, window)
    events = view.files.llm_events
    anew = any(e.event == "start" and since_s < e.t_s <= until_s for e in events or ())
    return _answered(view, window) if anew else None


def _watcher_anew(view: RunView, window: FaultWindow) -> Evidence | None:
    """A new Watcher, and a decision."""
    anew = _gone(view, window)
    return anew and _resumed(view, window)


def _resumed(view: RunView, window: FaultWindow) -> Evidence | None:
    """A request was finished after the fault was undone."""
    since_s, until_s = window.at_s("recovering") or 0.0, _until(view, window)
    table = view.files.decisions
    done = table.completed & (table.end_s > since_s) & (table.end_s <= until_s)
    return _first(view, done, "finished afterwards")


def _line(view: RunView, decision: Decision, text: str) -> Evidence:
    ref = view.files.ref(view.target.decisions.path, decision.line)
    return Evidence(ref, f"{decision.id} {decision.request}: {text}")


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
