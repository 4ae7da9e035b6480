"""Policy candidates: new ones accumulate, each with an identity of its own."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Finding, plural
from chaos.record.open_run import OpenRun

_UNUSABLE = """
select 'artefacts/' || path as ref, if(sha256 is null, 'cannot be read', 'has no ' || $id) as text
from candidates where id is null order by path
"""
_DOUBLED = """
select 'artefacts/' || path as ref, 'candidate ' || id || ' is there twice' as text from (
    select path, id, min(path) over (partition by id) as first_path from candidates
    where id is not null
) where path <> first_path order by path
"""
# Whichever file an identity was seen in before, it is not new in another.
_NEW = """
select 'artefacts/' || min(path) as ref, 'candidate ' || id as text from candidates
where id is not null and id not in (select id from candidates where before and id is not null)
group by id order by min(path)
"""
_SELFPLAY = "select count(*) from request_types where type = 'selfplay'"


class PolicyCandidatesParams(Params, frozen=True):
    """`min_new`: candidates that appeared during the run."""

    min_new: Annotated[int, msgspec.Meta(ge=1)] = 1


def judge(run: OpenRun, params: PolicyCandidatesParams) -> list[Finding]:
    """The plan, soak C, row "Policy candidates: accumulating in policy_history/"."""
    unusable = evidence_of(run, _UNUSABLE, {"id": run.target.paths.policy_candidate_id})
    doubled, new = evidence_of(run, _DOUBLED), evidence_of(run, _NEW)
    listed = run.last("baseline_files")
    before = len(set(listed[1].detail.get("policy_candidates", []))) if listed else 0
    wrong = unusable.count + doubled.count
    summary = f"{plural(new.count, 'new candidate')} ({before} before), at least "
    summary += f"{params.min_new} asked"
    typed = run.target.says("work.type_field")
    if not wrong and not new.count and typed and not run.one(_SELFPLAY):
        text = "no selfplay was asked for in this run, so no candidate was due"
        return [Finding(outcome="unverified", summary=text)]
    if wrong:
        summary += f"; {wrong} unusable or doubled"
    return [
        Finding(
            outcome="fail" if wrong or new.count < params.min_new else "pass",
            summary=summary,
            measured=new.count,
            limit=params.min_new,
            evidence=[*unusable.shown, *doubled.shown, *new.shown],
            evidence_count=wrong + new.count,
        )
    ]


CHECK = Check(
    name="policy_candidates",
    says=("paths.policy_candidates", "paths.policy_candidate_id"),
    title="Policy candidates",
    origin="plan, soak C: Policy candidates",
    judge=judge,
    params=PolicyCandidatesParams,
    depends=depends_on("files", "end", "stack"),
)
