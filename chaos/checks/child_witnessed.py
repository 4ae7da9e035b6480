"""Child witnessed: each dispatch that is claimed as completed had a child process that worked.

The log says what it likes; the witness saw every process. For a dispatch that claims files, a
child of the daemon must have opened or renamed a file within the work; for any other, one must have
lived. Without a child the work was not done, however whole the decision looks. The process that a
decision names must be one of the daemon's, alive in that time. Judged where the target says that
the daemon names its children.
"""

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Finding
from chaos.checks.witnessed import WORK, by_witness
from chaos.record.open_run import OpenRun

_WITHOUT = f"""
with {WORK}, children as (
    select p.pid, p.start_s, coalesce(p.end_s, 1e12) as end_s from processes p
    where p.service like 'watcher%' and exists (
        select 1 from processes parent where parent.pid = p.parent and parent.service = p.service)
), written_by_child as (
    select distinct t_s from file_ops
    where pid in (select pid from children) and call in ('rename', 'open', 'link')
), done as (
    select w.line from work w join written_by_child f on f.t_s between w.from_s and w.to_s
    union select w.line from work w join children c
        on c.start_s <= w.to_s and c.end_s >= w.from_s
    where w.line not in (select line from written)
), named as (
    select w.line, d.child_pid, exists (select 1 from processes p
        where p.pid = d.child_pid and p.service like 'watcher%' and p.start_s <= w.to_s
        and coalesce(p.end_s, 1e12) >= w.from_s) as was_there
    from work w join decisions d using (line) where d.child_pid > 0
)
select decision_ref(w.line) as ref, w.request || ': ' || w.dispatch || ' is claimed as completed, '
    || if(d.line is null, 'and no child process did any work',
        'and process ' || n.child_pid || ', which it names, was none of its own then') as text
from work w left join done d on d.line = w.line left join named n on n.line = w.line
where d.line is null or not n.was_there order by w.line
"""
_judge = by_witness(
    _WITHOUT,
    passed="a child process was seen at work in each of {claims} completed dispatches",
    failed="{wrong} of {claims} completed dispatches without the child process that is claimed",
    count=f"with {WORK} select count(*) from work",
)


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None for a daemon that says nothing of children: it may work in its own process."""
    return _judge(run, params) if run.target.says("decisions.child_pid") else []


CHECK = Check(
    name="child_witnessed",
    says=("decisions.child_pid",),
    title="Child witnessed",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
