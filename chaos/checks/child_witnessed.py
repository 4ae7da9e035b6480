"""Child witnessed: each dispatch that is claimed as completed had a child process that worked.

The log says what it likes; the witness saw every process. For a dispatch that claims files, a
child of the daemon must have opened or renamed a file within the work; for any other, one must have
lived. Without a child the work was not done, however whole the decision looks. Judged where the
target says that the daemon names its children.
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
)
select decision_ref(line) as ref,
    request || ': ' || dispatch || ' is claimed as completed, and no child process did any work'
    as text
from work where line not in (select line from done) order by line
"""
_judge = by_witness(
    _WITHOUT,
    passed="a child process was seen at work in each of {claims} completed dispatches",
    failed="{wrong} of {claims} completed dispatches without a child process at work",
    count=f"with {WORK} select count(*) from work",
)


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None for a daemon that says nothing of children: it may work in its own process."""
    return _judge(run, params) if run.target.decisions.child_pid else []


CHECK = Check(
    name="child_witnessed",
    title="Child witnessed",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
