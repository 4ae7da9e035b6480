"""Policy candidates: new ones accumulate, each with an identity of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    from chaos.checks.hash_sets import Hashes


class PolicyCandidatesParams(Params, frozen=True):
    """`min_new`: candidates that appeared during the run."""

    min_new: Annotated[int, msgspec.Meta(ge=1)] = 1


def judge(view: RunView, params: PolicyCandidatesParams) -> list[Finding]:
    """The plan, soak C, row "Policy candidates: accumulating in policy_history/"."""
    from chaos.checks.hash_sets import among, distinct, twice

    found = view.last("baseline_files")
    names = found[1].detail.get("policy_candidates", []) if found else []
    before = {str(name) for name in names}
    table = view.files.candidates
    identified = table.identity != 0
    again = identified & among(table.identity, twice(table.identity))
    doubled = int(identified.sum()) - distinct(table.identity[identified])
    folder = view.target.paths.policy_candidates.rpartition("/")[0] + "/"
    old = among(table.identity, view.files.hashes_of(before))
    old |= among(table.path, view.files.hashes_of(folder + name for name in before))
    # Whichever file an identity was seen in before, it is not new in another.
    new = identified & ~among(table.identity, table.identity[old & identified])
    count = distinct(table.identity[new])
    wrong = doubled + int((~identified).sum())
    summary = f"{plural(count, 'new candidate')} ({len(before)} before), at least "
    summary += f"{params.min_new} asked"
    if wrong:
        summary += f"; {wrong} unusable or doubled"
    return [
        Finding(
            outcome="fail" if wrong or count < params.min_new else "pass",
            summary=summary,
            measured=count,
            limit=params.min_new,
            evidence=(_wrong(view) if wrong else []) + _shown(view, table.path[new & ~again]),
            evidence_count=wrong + count,
        )
    ]


def _wrong(view: RunView) -> list[Evidence]:
    """What is unusable, then what is there twice, each by name; of two, the later name."""
    from chaos.checks.hash_sets import among, twice

    table, of = view.files.candidates, view.target.paths
    unusable = []
    for path in view.files.paths_by_hash(of.policy_candidates, table.path[table.identity == 0]):
        _, problem = view.files.json(path)
        reason = problem or f"has no {of.policy_candidate_id}"
        unusable.append(Evidence(view.files.ref(path), reason))
    doubled = table.path[(table.identity != 0) & among(table.identity, twice(table.identity))]
    seen: set[str] = set()
    again = []
    for path in view.files.paths_by_hash(of.policy_candidates, doubled, most=len(doubled)):
        content, _ = view.files.json(path)
        identity = str(content.get(of.policy_candidate_id)) if isinstance(content, dict) else ""
        if identity in seen:
            again.append(Evidence(view.files.ref(path), f"candidate {identity} is there twice"))
        seen.add(identity)
    return [*unusable, *again[:EVIDENCE_MAX]]


def _shown(view: RunView, paths: Hashes) -> list[Evidence]:
    """The first of the new ones by name."""
    of = view.target.paths
    shown = []
    for path in view.files.paths_by_hash(of.policy_candidates, paths):
        content, _ = view.files.json(path)
        identity = content.get(of.policy_candidate_id) if isinstance(content, dict) else "?"
        shown.append(Evidence(view.files.ref(path), f"candidate {identity}"))
    return shown


CHECK = Check(
    name="policy_candidates",
    title="Policy candidates",
    origin="plan, soak C: Policy candidates",
    judge=judge,
    params=PolicyCandidatesParams,
    needs=needs("files", "end", "stack"),
)
