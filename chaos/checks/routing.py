"""Routing: each request was worked off by the dispatch of its type, told by effects.

`COMPLETED` has been written for work that was blocked, skipped, or done by a mock. What counts
here: the type that the request itself names, a child process that the harness saw, a policy
candidate with a new identity, a new version of the learned artefacts in the time of the dispatch.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from chaos.checks.base import Check, Params, needs
from chaos.checks.decision import Decision, text_of
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    from chaos.checks.decision_table import Mask

Kind = Literal["selfplay", "learning"]

# The harness sees a new version at its next sample, and the Watcher's clock is not its own.
_SEEN_LATE_S = 2.0
# A child that lives for less than a few samples can be missed, all children cannot.
_SAMPLES_PER_DISPATCH = 4
_DISPATCHES_MIN = 3


@dataclass
class _Routed:
    judged: dict[Kind, int] = field(default_factory=lambda: {"selfplay": 0, "learning": 0})
    watched: dict[Kind, int] = field(default_factory=lambda: {"selfplay": 0, "learning": 0})
    with_child: dict[Kind, int] = field(default_factory=lambda: {"selfplay": 0, "learning": 0})
    wrong: list[Evidence] = field(default_factory=list)
    untyped: int = 0


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak B, row "Correct routing: selfplay -> selfplay, learn -> learn"."""
    routed = _Routed()
    types = _types_submitted(view)
    effects = _Effects(view)
    for decision, entry in view.files.decided():
        if not decision.completed or not decision.request:
            continue
        kind = types.get(decision.request) or _type_in_archive(view, decision.request)
        if kind is None:
            routed.untyped += 1
            continue
        routed.judged[kind] += 1
        problem = _misdirected(view, decision, kind) or effects.missing(decision, entry, kind)
        if problem:
            ref = view.files.ref(view.target.decisions.path, decision.line)
            routed.wrong.append(Evidence(ref, f"{decision.request} ({kind}): {problem}"))
        _watch_children(effects, decision, kind, routed)
    for kind, watched in routed.watched.items():
        if watched >= _DISPATCHES_MIN and not routed.with_child[kind]:
            text = f"no child process was ever seen in {watched} {kind} dispatches"
            routed.wrong.append(Evidence("history.jsonl", text))
    return [_finding(view, routed)]


def _finding(view: RunView, routed: _Routed) -> Finding:
    total = sum(routed.judged.values())
    outcome: Outcome = "fail" if routed.wrong else "pass" if total else "inconclusive"
    parts = [plural(count, f"{kind} request") for kind, count in routed.judged.items()]
    seen = sum(routed.with_child.values())
    summary = f"{', '.join(parts)} completed, {len(routed.wrong)} without the effect of its type; "
    summary += f"a child process seen in {seen} of {sum(routed.watched.values())} watched"
    if routed.untyped:
        summary += f"; {routed.untyped} of unknown type"
    log = Evidence(view.files.ref(view.target.decisions.path), "joined with what was changed")
    return Finding(
        outcome=outcome,
        summary=summary,
        measured=len(routed.wrong),
        limit=0,
        evidence=routed.wrong or [log],
    )


def _types_submitted(view: RunView) -> dict[str, Kind]:
    """The types of the harness's own requests; nobody else needs to be believed for them."""
    kinds: dict[str, Kind] = {"selfplay": "selfplay", "learning_loop": "learning"}
    return {
        op.id: kinds[str(op.detail.get("type"))]
        for _, op in view.ops
        if op.op == "submit" and op.detail.get("type") in kinds
    }


def _type_in_archive(view: RunView, request: str) -> Kind | None:
    """The type that stands in the archived request."""
    queue = view.target.queue
    content, _ = view.files.json(f"{queue.archived.rpartition('/')[0]}/{request}")
    kind = content.get(queue.type_field) if isinstance(content, dict) else None
    if kind in queue.types_selfplay:
        return "selfplay"
    return "learning" if kind in queue.types_learning else None


def _misdirected(view: RunView, decision: Decision, kind: Kind) -> str:
    of = view.target.decisions
    wanted = of.dispatch_selfplay if kind == "selfplay" else of.dispatch_learning
    return "" if decision.dispatch in wanted else f"dispatched as {decision.dispatch or 'nothing'}"


class _Effects:
    """What was changed, and by whom it was seen."""

    def __init__(self, view: RunView) -> None:
        self._view = view
        paths, predictions = view.target.paths, view.target.predictions
        self._candidate_folder = paths.policy_candidates.rpartition("/")[0] + "/"
        before = view.last("baseline_files")
        known = before[1].detail.get("policy_candidates", []) if before else []
        self._known = {str(name) for name in known}
        self._taken: dict[str, str] = {}
        learned = (predictions.path, view.target.telemetry.path)
        self._versions = self._new_versions(learned)
        table = view.samples
        self._sample_s = table.t_s
        self._children = table.column("watcher.children")

    def _new_versions(self, paths: tuple[str, ...]) -> list[float]:
        """When the harness saw content of `paths` that was not there before (run seconds)."""
        last: dict[str, str] = {}
        moments = []
        for _, event in self._view.named("artefact"):
            path, digest = str(event.detail.get("path")), str(event.detail.get("sha256"))
            if path in paths and not event.detail.get("invalid") and last.get(path) != digest:
                last[path] = digest
                moments.append(event.t_s)
        return moments

    def missing(self, decision: Decision, entry: dict[str, Any], kind: Kind) -> str:
        """What a completed dispatch should have changed and did not, or ""."""
        of = self._view.target.decisions
        if of.child_pid and not _whole(_selected(entry, of.child_pid)):
            return "no child process was started for it"
        if of.child_exit and _selected(entry, of.child_exit) != 0:
            return f"its child process ended with {_selected(entry, of.child_exit)}"
        if kind == "learning":
            return self._not_learned(decision)
        return self._no_candidate(decision, entry) if of.artefacts else ""

    def _not_learned(self, decision: Decision) -> str:
        if decision.start_s is None or decision.end_s is None:
            return "the decision has no times"
        place = bisect_left(self._versions, decision.start_s)
        until_s = decision.end_s + _SEEN_LATE_S
        if place < len(self._versions) and self._versions[place] <= until_s:
            return ""
        return "no learned artefact had a new content in its time"

    def _no_candidate(self, decision: Decision, entry: dict[str, Any]) -> str:
        view = self._view
        written = _selected(entry, view.target.decisions.artefacts)
        written = written if isinstance(written, dict) else {}
        paths = [path for path in written if path.startswith(self._candidate_folder)]
        for path in sorted(paths):
            content, problem = view.files.json(path)
            if problem or not isinstance(content, dict):
                return f"{path} {problem or 'is not a candidate'}"
            if view.files.sha256(path) != written[path]:
                return f"{path} is not what it wrote"
            identity = text_of(content.get(view.target.paths.policy_candidate_id))
            if self._known & {identity, path.rpartition("/")[2]}:
                return f"its candidate {identity} was there before"
            if self._taken.setdefault(identity, decision.request) != decision.request:
                return f"its candidate {identity} is that of {self._taken[identity]}"
        return "" if paths else "no policy candidate came of it"

    def child_seen(self, decision: Decision) -> bool | None:
        """Whether a sample shows a child of the Watcher in its time; None: hardly any sample."""
        if decision.start_s is None or decision.end_s is None:
            return None
        first, last = self._sample_s.searchsorted([decision.start_s, decision.end_s])
        children = self._children[first:last]
        known: Mask = children == children
        if int(known.sum()) < _SAMPLES_PER_DISPATCH:
            return None
        return bool((children[known] > 0).any())


def _watch_children(effects: _Effects, decision: Decision, kind: Kind, routed: _Routed) -> None:
    seen = effects.child_seen(decision)
    if seen is not None:
        routed.watched[kind] += 1
        routed.with_child[kind] += seen


def _selected(entry: Any, path: str) -> Any:
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


CHECK = Check(
    name="routing",
    title="Correct routing",
    origin="plan, soak B: Correct routing",
    judge=judge,
    needs=needs("files", "end", "stack"),
)
