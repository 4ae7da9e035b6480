"""Routing: each request was worked off by the dispatch of its type, told by effects.

`COMPLETED` has been written for work that was blocked, skipped, or done by a mock. What counts
here: the type that the request itself names, a child process that the harness saw, a policy
candidate with a new identity, a new version of the learned artefacts in the time of the dispatch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.checks.base import Check, Params, needs
from chaos.checks.decision import Decision, text_hash
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, Outcome, plural
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chaos.checks.effect_table import Effects
    from chaos.checks.hash_sets import Hashes, Indices, Mask, Times

    Kinds = npt.NDArray[np.int8]

# The harness sees a new version at its next sample, and the Watcher's clock is not its own.
_SEEN_LATE_S = 2.0
# A Watcher that waited out a fault looks again only now and then.
_HELD_UP_S = 10.0
_DISPATCHES_MIN = 3
_SELFPLAY, _LEARNING = 0, 1


@dataclass
class _Wrong:
    """Decisions without the effect of their type: the first reason found for each."""

    why: Kinds  # place in `reasons`, -1 for none
    reasons: list[str] = field(default_factory=list)

    def note(self, indices: Indices, reason: str) -> None:
        """`reason` for those of `indices` that have none yet."""
        if not len(indices):
            return
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.why[indices[self.why[indices] < 0]] = self.reasons.index(reason)


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak B, row "Correct routing: selfplay -> selfplay, learn -> learn"."""
    import numpy as np

    from chaos.checks.request_types import KINDS, UNTYPED, types_of

    table, of = view.files.decisions, view.target.decisions
    done: Mask = table.completed & (table.request != 0)
    kinds = np.full(len(table), UNTYPED, dtype=np.int8)
    kinds[done] = types_of(view, table.request[done])
    wrong = _Wrong(np.full(len(table), -1, dtype=np.int8))
    for kind, names in ((_SELFPLAY, of.dispatch_selfplay), (_LEARNING, of.dispatch_learning)):
        misdirected = (kinds == kind) & ~table.dispatched_as(list(names))
        wrong.note(np.flatnonzero(misdirected), "dispatched as {dispatch}")
    _without_effects(view, wrong, kinds)
    _not_learned(view, wrong, np.flatnonzero(kinds == _LEARNING))
    watched, with_child = _children(view, kinds)
    unseen = [
        f"no child process was ever seen in {watched[kind]} {name} dispatches"
        for kind, name in enumerate(KINDS)
        if watched[kind] >= _DISPATCHES_MIN and not with_child[kind]
    ]
    judged = [int((kinds == kind).sum()) for kind in (_SELFPLAY, _LEARNING)]
    untyped = int(done.sum()) - sum(judged)
    return [_finding(view, kinds, wrong, unseen, judged, (sum(with_child), sum(watched)), untyped)]


def _finding(
    view: RunView,
    kinds: Kinds,
    wrong: _Wrong,
    unseen: list[str],
    judged: list[int],
    children: tuple[int, int],
    untyped: int,
) -> Finding:
    from chaos.checks.request_types import KINDS

    table = view.files.decisions
    indices = (wrong.why >= 0).nonzero()[0]
    count = len(indices) + len(unseen)
    outcome: Outcome = "fail" if count else "pass" if sum(judged) else "inconclusive"
    parts = [plural(n, f"{kind} request") for kind, n in zip(KINDS, judged, strict=True)]
    summary = f"{', '.join(parts)} completed, {count} without the effect of its type; "
    summary += f"a child process seen in {children[0]} of {children[1]} watched"
    if untyped:
        summary += f"; {untyped} of unknown type"
    path = view.target.decisions.path
    evidence = []
    for index, one in zip(indices.tolist(), table.some(indices, EVIDENCE_MAX), strict=False):
        said = _said(view, wrong.reasons[wrong.why[index]], one, table.entry(index))
        text = f"{one.request} ({KINDS[kinds[index]]}): {said}"
        evidence.append(Evidence(view.files.ref(path, one.line), text))
    evidence += [Evidence("history.jsonl", text) for text in unseen]
    return Finding(
        outcome=outcome,
        summary=summary,
        measured=count,
        limit=0,
        evidence=evidence or [Evidence(view.files.ref(path), "joined with what was changed")],
        evidence_count=max(count, 1),
    )


def _said(view: RunView, reason: str, decision: Decision, entry: dict[str, Any]) -> str:
    """`reason` with what the decision says of itself."""
    from chaos.checks.effect_table import selected

    of, folder = view.target.decisions, _candidate_folder(view)
    written = selected(entry, of.artefacts) if of.artefacts else None
    paths = (
        [path for path in written if path.startswith(folder)] if isinstance(written, dict) else []
    )
    return reason.format(
        dispatch=decision.dispatch or "nothing",
        exit=selected(entry, of.child_exit) if of.child_exit else "",
        candidate=", ".join(sorted(paths)[:2]),
    )


def _candidate_folder(view: RunView) -> str:
    return view.target.paths.policy_candidates.rpartition("/")[0] + "/"


def _new_versions(view: RunView) -> Times:
    """When the harness saw content of a learned artefact that was not there before (run s)."""
    import numpy as np

    paths = (view.target.predictions.path, view.target.telemetry.path)
    last: dict[str, str] = {}
    moments = []
    for _, event in view.named("artefact"):
        path, digest = str(event.detail.get("path")), str(event.detail.get("sha256"))
        if path in paths and not event.detail.get("invalid") and last.get(path) != digest:
            last[path] = digest
            moments.append(event.t_s)
    return np.array(moments, dtype=np.float64)


def _not_learned(view: RunView, wrong: _Wrong, learning: Indices) -> None:
    import numpy as np

    table = view.files.decisions
    start_s, end_s = table.start_s[learning], table.end_s[learning]
    timeless = np.isnan(start_s) | np.isnan(end_s)
    wrong.note(learning[timeless], "the decision has no times")
    versions = np.append(_new_versions(view), np.inf)
    next_s = versions[np.minimum(np.searchsorted(versions, start_s), len(versions) - 1)]
    late = ~(next_s <= _published_by(view, start_s, end_s))
    wrong.note(learning[late], "no learned artefact had a new content in its time")


def _published_by(view: RunView, start_s: Times, end_s: Times) -> Times:
    """Until when the artefacts of each must be there. A fault that a dispatch met may hold up
    the publishing of what is decided already (a full disk): then until some time after it, but
    before the next dispatch of the kind is half done, whose artefacts they would otherwise be
    taken for (it may begin at once, before the harness has looked).
    """
    import numpy as np

    by_s = end_s + _SEEN_LATE_S
    order = np.argsort(start_s, kind="stable")
    seen_s = start_s + np.minimum(_SEEN_LATE_S, (end_s - start_s) / 2)
    next_s = np.append(seen_s[order], np.inf)[np.searchsorted(start_s[order], end_s)]
    for _, begin_s, over_s in view.injected_faults:
        met = (start_s <= over_s) & (by_s >= begin_s)
        held_s = np.minimum(over_s + _HELD_UP_S, np.maximum(next_s, by_s))
        by_s = np.where(met, np.maximum(by_s, held_s), by_s)
    return by_s


def _without_effects(view: RunView, wrong: _Wrong, kinds: Kinds) -> None:
    """No child, a child that failed, or (selfplay) no candidate; block by block of decisions."""
    import numpy as np

    from chaos.checks.effect_table import effect_blocks

    table, of = view.files.decisions, view.target.decisions
    owners, rows = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for block in effect_blocks(table, of, _candidate_folder(view)):
        typed = np.flatnonzero(kinds[block.first : block.first + len(block.child)] >= 0)
        childless, failed = typed[~block.child[typed]], typed[~block.exit_ok[typed]]
        wrong.note(childless + block.first, "no child process was started for it")
        wrong.note(failed + block.first, "its child process ended with {exit}")
        if of.artefacts:
            owner, row = _candidates_of(view, wrong, kinds, block)
            owners.append(owner.astype(np.int32))  # of a million each, half the memory
            rows.append(row.astype(np.int32))
    row = np.concatenate(rows)
    identity = view.files.candidates.identity[row] if len(row) else np.empty(0, np.int64)
    view.files.forget_candidates()  # nobody asks for them after this check
    owner = np.concatenate(owners)
    again = _taken_again(identity, owner, table.request)
    wrong.note(owner[again], "its candidate {candidate} is that of an earlier request")


def _candidates_of(
    view: RunView, wrong: _Wrong, kinds: Kinds, block: Effects
) -> tuple[Indices, Indices]:
    """(decision, row) of each candidate that selfplay in `block` wrote and that is there."""
    import numpy as np

    end = block.first + len(block.child)
    mine = kinds[block.of] == _SELFPLAY
    owner, path, digest = block.of[mine], block.path[mine], block.digest[mine]
    has = np.zeros(end - block.first, dtype=np.bool_)
    has[owner - block.first] = True
    without = np.flatnonzero((kinds[block.first : end] == _SELFPLAY) & ~has) + block.first
    wrong.note(without, "no policy candidate came of it")
    written = view.files.candidates
    if not len(written):
        wrong.note(owner, "its candidate {candidate} is missing")
        return np.empty(0, np.intp), np.empty(0, np.intp)
    row = np.minimum(np.searchsorted(written.path, path), len(written) - 1)
    there = written.path[row] == path
    wrong.note(owner[~there], "its candidate {candidate} is missing")
    owner, path, digest, row = owner[there], path[there], digest[there], row[there]
    wrong.note(
        owner[written.digest[row] != digest], "its candidate {candidate} is not what it wrote"
    )
    identity = written.identity[row]
    wrong.note(owner[identity == 0], "its candidate {candidate} has no identity")
    wrong.note(owner[_known(view, path, identity)], "its candidate {candidate} was there before")
    return owner, row


def _known(view: RunView, path: Hashes, identity: Hashes) -> Mask:
    """Whether a candidate was there before the run, by its identity or its file name."""
    import numpy as np

    from chaos.checks.hash_sets import among

    before = view.last("baseline_files")
    names = [
        str(name) for name in (before[1].detail if before else {}).get("policy_candidates", [])
    ]
    folder = _candidate_folder(view)
    ids = np.array([text_hash(name) for name in names], dtype=np.int64)
    paths = np.array([text_hash(folder + name) for name in names], dtype=np.int64)
    return among(identity, ids) | among(path, paths)


def _taken_again(identity: Hashes, owner: Indices, requests: Hashes) -> Mask:
    """Whether the first request that took an identity is another one."""
    import numpy as np

    from chaos.checks.hash_sets import among, twice

    found: Mask = np.zeros(len(identity), dtype=np.bool_)
    doubled = np.flatnonzero(among(identity, twice(identity)))
    if not len(doubled):
        return found
    order = doubled[np.argsort(identity[doubled], kind="stable")]
    ordered, request = identity[order], requests[owner[order]]
    _, begins = np.unique(ordered, return_index=True)
    first = np.repeat(request[begins], np.diff(np.append(begins, len(order))))
    found[order] = first != request
    return found


def _children(view: RunView, kinds: Kinds) -> tuple[list[int], list[int]]:
    """By kind: how many dispatches were watched, in how many a child ran."""
    import numpy as np

    from chaos.checks.seen_children import SeenChildren

    table = view.files.decisions
    seen = SeenChildren(view)
    watched, with_child = [], []
    for kind in (_SELFPLAY, _LEARNING):
        of_kind = np.flatnonzero((kinds == kind) & ~np.isnan(table.start_s + table.end_s))
        told, ran = seen.counted(of_kind)
        watched.append(told)
        with_child.append(ran)
    return watched, with_child


CHECK = Check(
    name="routing",
    title="Correct routing",
    origin="plan, soak B: Correct routing",
    judge=judge,
    needs=needs("files", "end", "stack"),
)
