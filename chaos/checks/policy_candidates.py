"""Policy candidates: new ones accumulate, each with an identity of its own."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView


class PolicyCandidatesParams(Params, frozen=True):
    """`min_new`: candidates that appeared during the run."""

    min_new: Annotated[int, msgspec.Meta(ge=1)] = 1


def judge(view: RunView, params: PolicyCandidatesParams) -> list[Finding]:
    """The plan, soak C, row "Policy candidates: accumulating in policy_history/"."""
    of = view.target.paths
    found = view.last("baseline_files")
    names = found[1].detail.get("policy_candidates", []) if found else []
    before = {str(name) for name in names}
    ids: Counter[str] = Counter()
    new: list[Evidence] = []
    wrong: list[Evidence] = []
    for path in view.files.paths(of.policy_candidates):
        content, problem = view.files.json(path)
        identity = content.get(of.policy_candidate_id) if isinstance(content, dict) else None
        if identity is None:
            reason = problem or f"has no {of.policy_candidate_id}"
            wrong.append(Evidence(view.files.ref(path), reason))
            continue
        ids[str(identity)] += 1
        if ids[str(identity)] > 1:
            wrong.append(Evidence(view.files.ref(path), f"candidate {identity} is there twice"))
        elif not before & {str(identity), path.rpartition("/")[2]}:
            new.append(Evidence(view.files.ref(path), f"candidate {identity}"))
    summary = f"{plural(len(new), 'new candidate')} ({len(before)} before), at least "
    summary += f"{params.min_new} asked"
    if wrong:
        summary += f"; {len(wrong)} unusable or doubled"
    return [
        Finding(
            outcome="fail" if wrong or len(new) < params.min_new else "pass",
            summary=summary,
            measured=len(new),
            limit=params.min_new,
            evidence=wrong + new,
        )
    ]


CHECK = Check(
    name="policy_candidates",
    title="Policy candidates",
    origin="plan, soak C: Policy candidates",
    judge=judge,
    params=PolicyCandidatesParams,
    needs=needs("files", "end", "stack"),
)
