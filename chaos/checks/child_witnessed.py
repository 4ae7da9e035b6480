"""Child witnessed: each dispatch that is claimed as completed had a child process that worked.

The log says what it likes; the witness saw every process. A child counts when it began and ended
within the work on the request, used processor time, and published a file (renamed it into place,
or wrote it). Without one the work was not done, however whole the decision looks.
"""

from chaos.checks.base import Check, depends_on
from chaos.checks.witnessed import WORK, by_witness

_WITHOUT = f"""
with {WORK}, children as (
    select p.pid, p.line, p.start_s, p.cpu_s from processes p
    where p.service like 'watcher%' and exists (
        select 1 from processes parent where parent.pid = p.parent and parent.service = p.service)
    and exists (select 1 from file_ops f where f.pid = p.pid and f.t_s >= p.start_s - 0.05
        and f.call in ('rename', 'open', 'link'))
)
select decision_ref(line) as ref,
    request || ': ' || dispatch || ' is claimed as completed, and no child process did any work'
    as text
from work w where not exists (
    select 1 from children c where c.start_s between w.from_s and w.to_s)
order by line
"""

CHECK = Check(
    name="child_witnessed",
    title="Child witnessed",
    judge=by_witness(
        _WITHOUT,
        passed="a child process was seen at work in each of {claims} completed dispatches",
        failed="{wrong} of {claims} completed dispatches without a child process at work",
        count=f"with {WORK} select count(*) from work",
    ),
    depends=depends_on("files", "stack"),
    always=True,
)
