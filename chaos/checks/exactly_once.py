"""Exactly once: every request is decided once and ends in one place, whatever was broken."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaos.checks.base import Check, Params, needs
from chaos.checks.decision import Decision
from chaos.checks.emitted import emitted_requests, lost_requests
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.planted import one_request, planted_files, wrongly_worked
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    from chaos.checks.decision_table import DecisionTable
    from chaos.checks.hash_sets import Mask

Wrong = tuple[list[Evidence], int]  # the first pieces of evidence, and how many there are in all


def judge(view: RunView, params: Params) -> list[Finding]:
    """Holds always, also through fault windows and crashes."""
    decisions = view.files.decisions
    lost = lost_requests(view)
    worked = wrongly_worked(planted_files(view))
    found: list[Wrong] = [
        (view.files.decisions_damaged, decisions.damaged_count),
        _decided_twice(view, decisions),
        *_undecided(view, decisions),
        _in_two_places(view),
        repeated_identity(view),
        (lost, len(lost)),
        (worked, len(worked)),
    ]
    count = sum(some for _, some in found)
    torn = "; the log ends in half a line" if view.files.decisions_torn else ""
    emitted = len(emitted_requests(view))
    summary = f"{plural(emitted, 'request')} emitted, {plural(len(decisions), 'decision')}, "
    summary += f"{count} lost, doubled or undecided{torn}"
    log = Evidence(view.files.ref(view.target.decisions.path), "joined with the queue folders")
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=summary,
            measured=count,
            limit=0,
            evidence=[item for some, _ in found for item in some][:EVIDENCE_MAX] or [log],
            evidence_count=max(count, 1),
        )
    ]


def _decided_twice(view: RunView, decisions: DecisionTable) -> Wrong:
    again = _repeats(decisions, "request", decisions.dispatched)
    return [
        _evidence(view, late, f"{late.request} decided again (first in line {first.line})")
        for late, first in _shown(decisions, again)
    ], len(again)


def _undecided(view: RunView, decisions: DecisionTable) -> list[Wrong]:
    """Archived without a decision, or decided with no trace of the request in the queue."""
    import numpy as np

    from chaos.checks.hash_sets import among

    files = view.files
    archived = files.hashes(view.target.queue.archived)
    dispatched = np.flatnonzero(decisions.dispatched)
    requests = decisions.request[dispatched]
    unseen = archived[~among(archived, requests)]
    unseen = unseen[~among(unseen, files.hashes_of(one_request(view)))]
    folder = f"artefacts/{view.target.queue.archived.rpartition('/')[0]}"
    names = files.names_by_hash(view.target.queue.archived, unseen)
    without = [
        Evidence(f"{folder}/{name}", f"{name} archived without a decision") for name in names
    ]
    # A Watcher stopped in a hurry may leave a decided request claimed: its next start finishes it.
    finishing = files.hashes(view.target.queue.claimed)
    there = archived if view.ran_to_end else np.append(archived, finishing)
    open_ones = dispatched[~among(requests, there)]
    # Of a request decided twice, the first decision is the one that is shown.
    _, firsts = np.unique(decisions.request[open_ones], return_index=True)
    open_ones = open_ones[np.sort(firsts)]
    unfinished = [
        _evidence(view, one, f"{one.request} decided, but not archived")
        for one in decisions.some(open_ones, EVIDENCE_MAX)
    ]
    return [(without, len(unseen)), (unfinished, len(open_ones))]


def _in_two_places(view: RunView) -> Wrong:
    import numpy as np

    from chaos.checks.hash_sets import among, twice

    files, queue = view.files, view.target.queue
    folders = (queue.pending, queue.claimed, queue.archived)
    hashes = [files.hashes(pattern) for pattern in folders]
    hashes.append(files.hashes_of(files.quarantined))
    doubled = twice(np.concatenate(hashes))
    doubled = doubled[~among(doubled, files.hashes_of(one_request(view)))]
    if not len(doubled):
        return [], 0
    found: Counter[str] = Counter(files.quarantined)
    for pattern in folders:
        found.update(files.names_by_hash(pattern, doubled, most=len(doubled)))
    folder = queue.archived.rpartition("/")[0]
    several = sorted((name, count) for name, count in found.items() if count > 1)
    return [
        Evidence(f"artefacts/{folder}/{name}", f"{name} is in {count} folders")
        for name, count in several[:EVIDENCE_MAX]
    ], len(several)


def repeated_identity(view: RunView) -> Wrong:
    """Decision ids, and (source, sequence number) pairs, that come twice. A line without one is
    not compared: a missing number is not a duplicate of another missing number.
    """
    decisions = view.files.decisions
    ids = _repeats(decisions, "id", decisions.dispatched | ~decisions.dispatched)
    numbers = _repeats(decisions, "sequence", decisions.dispatched)
    wrong = [
        _evidence(view, late, f"decision id {late.id} again (line {first.line})")
        for late, first in _shown(decisions, ids)
    ]
    wrong += [
        _evidence(
            view,
            late,
            f"sequence number of {late.source} {late.sequence} again (line {first.line})",
        )
        for late, first in _shown(decisions, numbers)
    ]
    return wrong, len(ids) + len(numbers)


def _repeats(decisions: DecisionTable, column: str, used: Mask) -> list[tuple[int, int]]:
    from chaos.checks.hash_sets import repeats

    return repeats(getattr(decisions, column), used)


def _shown(
    decisions: DecisionTable, pairs: list[tuple[int, int]]
) -> list[tuple[Decision, Decision]]:
    return [(decisions[late], decisions[first]) for late, first in pairs[:EVIDENCE_MAX]]


def _evidence(view: RunView, decision: Decision, text: str) -> Evidence:
    return Evidence(view.files.ref(view.target.decisions.path, decision.line), text)


CHECK = Check(
    name="exactly_once",
    title="Exactly once",
    judge=judge,
    needs=needs("files"),
)
