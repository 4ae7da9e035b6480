"""Routing: each request was worked off by the dispatch of its type, told by effects.

`COMPLETED` has been written for work that was blocked, skipped, or done by a mock. What counts
here: the type that the request itself names, a child process that the harness saw, a policy
candidate with a new identity, a new version of the learned artefacts in the time of the dispatch.
"""

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.checks.seen_children import seen_children
from chaos.record.open_run import OpenRun

_DISPATCHES_MIN = 3
_TYPES = ("selfplay", "learning")
_TYPED = """
typed as (
    select d.*, t.type from decisions d join request_types t on t.name = d.request where d.completed
)"""
# Each problem of a selfplay's candidate, the gravest first. An identity belongs to the request that
# took it first.
_CANDIDATES = """
candidates_of as (
    select t.line, w.path, case
        when c.path is null then '1is missing'
        when c.sha256 is distinct from w.sha256 then '2is not what it wrote'
        when c.id is null then '3has no identity'
        when c.before then '4was there before'
        when first_value(t.request) over (partition by c.id order by t.line) <> t.request
            then '5is that of an earlier request' end as problem
    from typed t join written w using (line) left join candidates c on c.path = w.path
    where t.type = 'selfplay' and starts_with(w.path, $folder)
), candidate_problems as (
    select line, min(problem)[2:] as problem, array_to_string(list(path order by path)[:2], ', ')
        as named
    from candidates_of group by line
)"""
# Until when the artefacts of a learning dispatch must have been seen. The harness sees a version
# at its next sample (2 s, clocks differ). A fault that the dispatch met may hold up the publishing
# of what is decided already (a full disk): then until 10 s after it, but before the next learning
# dispatch is half done, because those artefacts would be its own.
_LEARNED = """
fresh as (
    select t_s from (
        select t_s, sha256, lag(sha256) over (partition by path order by line) as last_sha256
        from versions where path in ($pool, $health) and valid and sha256 is not null
    ) where sha256 is distinct from last_sha256
), learning as (
    select line, start_s, end_s from typed
    where type = 'learning' and start_s is not null and end_s is not null
), beside as (
    select l.*, n.seen_s as next_s, v.t_s as new_s from learning l asof left join (
        select start_s, start_s + least(2, (end_s - start_s) / 2) as seen_s from learning
    ) n on n.start_s >= l.end_s asof left join fresh v on v.t_s >= l.start_s
), learned as (
    select b.line from beside b left join faults f
        on b.start_s <= f.until_s and b.end_s + 2 >= f.injected_s
    group by b.line, b.end_s, b.next_s, b.new_s
    having b.new_s <= greatest(b.end_s + 2, coalesce(max(
        least(f.until_s + 10, greatest(coalesce(b.next_s, 1e12), b.end_s + 2)))
        filter (f.fault_id is not null), 0))
)"""
_WRONG = f"""
with {_TYPED}, {_CANDIDATES}, {_LEARNED}
select decision_ref(line) as ref, request || ' (' || type || '): ' || problem as text from (
    select t.line, t.request, t.type, case
        when t.kind is distinct from t.type
            then 'dispatched as ' || coalesce(t.dispatch, 'nothing')
        when $names_child and t.child_pid is null then 'no child process was started for it'
        when $names_exit and t.child_exit is distinct from 0
            then 'its child process ended with ' || coalesce(t.child_exit::varchar, 'nothing')
        when $lists_files and t.type = 'selfplay' and p.line is null
            then 'no policy candidate came of it'
        when $lists_files and p.problem is not null
            then 'its candidate ' || p.named || ' ' || p.problem
        when t.type = 'learning' and (t.start_s is null or t.end_s is null)
            then 'the decision has no times'
        when t.type = 'learning' and $learns and l.line is null
            then 'no learned artefact had a new content in its time' end as problem
    from typed t left join candidate_problems p on p.line = t.line
        left join learned l on l.line = t.line
) where problem is not null order by line
"""
_COUNTS = f"""
with {_TYPED}
select count(*) filter (type = 'selfplay'), count(*) filter (type = 'learning'),
    (select count(*) from decisions where completed and request is not null) - count(*) from typed
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak B, row "Correct routing: selfplay -> selfplay, learn -> learn"."""
    target = run.target
    pool, health = (target.source(n).document for n in ("predictions", "telemetry"))
    wrong = evidence_of(
        run,
        _WRONG,
        {
            "folder": target.paths.policy_candidates.rpartition("/")[0] + "/",
            "pool": pool,
            "health": health,
            "names_child": target.says("decisions.child_pid"),
            "names_exit": target.says("decisions.child_exit"),
            "lists_files": target.says("decisions.written")
            and target.says("paths.policy_candidates")
            and target.says("paths.policy_candidate_id"),
            "learns": bool(pool and health),
        },
    )
    *judged, untyped = run.one(_COUNTS)
    children = seen_children(run)
    unseen = [
        f"no child process was ever seen in {watched} {kind} dispatches"
        for kind, (watched, ran) in sorted(children.items())
        if watched >= _DISPATCHES_MIN and not ran
    ]
    count = wrong.count + len(unseen)
    outcome: Outcome = "fail" if count else "pass" if sum(judged) else "inconclusive"
    parts = [plural(number, f"{kind} request") for kind, number in zip(_TYPES, judged, strict=True)]
    watched, ran = (sum(numbers) for numbers in zip((0, 0), *children.values(), strict=True))
    summary = f"{', '.join(parts)} completed, {count} without the effect of its type; "
    summary += f"a child process seen in {ran} of {watched} watched"
    if untyped:
        summary += f"; {untyped} of unknown type"
    evidence = wrong.shown + [Evidence("history.jsonl", text) for text in unseen]
    return [
        Finding(
            outcome=outcome,
            summary=summary,
            measured=count,
            limit=0,
            evidence=evidence or [Evidence(run.decision_log, "joined with what was changed")],
            evidence_count=max(count, 1),
        )
    ]


CHECK = Check(
    name="routing",
    says=(
        "decisions.request",
        "decisions.status",
        "decisions.kind",
        "decisions.dispatch",
        "decisions.started_at",
        "decisions.ended_at",
        "work.type_field",
    ),
    title="Correct routing",
    origin="plan, soak B: Correct routing",
    judge=judge,
    depends=depends_on("files", "end", "stack"),
)
