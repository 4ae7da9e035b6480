"""Exactly once: every request is decided once and ends in one place, whatever was broken."""

from __future__ import annotations

from collections import Counter, defaultdict

from chaos.checks.base import Check, Params, needs
from chaos.checks.emitted import emitted_requests, lost_requests
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import Decision


def judge(view: RunView, params: Params) -> list[Finding]:
    """Holds always, also through fault windows and crashes."""
    decisions = view.files.decisions
    wrong = [
        *view.files.decisions_damaged,
        *_decided_twice(view, decisions),
        *_undecided(view, decisions),
        *_in_two_places(view),
        *_repeated_identity(view, decisions),
        *lost_requests(view),
    ]
    torn = "; the log ends in half a line" if view.files.decisions_torn else ""
    emitted = len(emitted_requests(view))
    summary = f"{plural(emitted, 'request')} emitted, {plural(len(decisions), 'decision')}, "
    summary += f"{len(wrong)} lost, doubled or undecided{torn}"
    log = Evidence(view.files.ref(view.target.decisions.path), "joined with the queue folders")
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=summary,
            measured=len(wrong),
            limit=0,
            evidence=wrong or [log],
        )
    ]


def _dispatched(decisions: list[Decision]) -> dict[str, list[Decision]]:
    by_request: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        if decision.dispatch:
            by_request[decision.request].append(decision)
    return by_request


def _decided_twice(view: RunView, decisions: list[Decision]) -> list[Evidence]:
    return [
        _evidence(view, again, f"{request} decided again (first in line {same[0].line})")
        for request, same in _dispatched(decisions).items()
        for again in same[1:]
    ]


def _undecided(view: RunView, decisions: list[Decision]) -> list[Evidence]:
    """Archived without a decision, or decided with no trace of the request in the queue."""
    files, by_request = view.files, _dispatched(decisions)
    # A Watcher stopped in a hurry may leave a decided request claimed: its next start finishes it.
    finishing = set() if view.ran_to_end else set(files.claimed)
    folder = f"artefacts/{view.target.queue.archived.rpartition('/')[0]}"
    archived = [
        Evidence(f"{folder}/{name}", f"{name} archived without a decision")
        for name in files.archived
        if name not in by_request
    ]
    unfinished = [
        _evidence(view, same[0], f"{request} decided, but not archived")
        for request, same in by_request.items()
        if request not in files.archived and request not in finishing
    ]
    return archived + unfinished


def _in_two_places(view: RunView) -> list[Evidence]:
    files, queue = view.files, view.target.queue
    places = Counter([*files.pending, *files.claimed, *files.archived, *files.quarantined])
    folder = queue.archived.rpartition("/")[0]
    return [
        Evidence(f"artefacts/{folder}/{name}", f"{name} is in {count} folders")
        for name, count in sorted(places.items())
        if count > 1
    ]


def _repeated_identity(view: RunView, decisions: list[Decision]) -> list[Evidence]:
    """Decision ids, and (source, sequence number) pairs, that come twice. A line without one is
    not compared: a missing number is not a duplicate of another missing number.
    """
    seen: dict[tuple[str, str], int] = {}
    wrong = []
    for decision in decisions:
        keys = [("decision id", decision.id)] if decision.id else []
        if decision.sequence and decision.dispatch:
            keys.append((f"sequence number of {decision.source}", decision.sequence))
        for key in keys:
            first = seen.setdefault(key, decision.line)
            if first != decision.line:
                wrong.append(_evidence(view, decision, f"{key[0]} {key[1]} again (line {first})"))
    return wrong


def _evidence(view: RunView, decision: Decision, text: str) -> Evidence:
    return Evidence(view.files.ref(view.target.decisions.path, decision.line), text)


CHECK = Check(
    name="exactly_once",
    title="Exactly once",
    judge=judge,
    needs=needs("files"),
)
