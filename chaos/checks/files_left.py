"""Files left: what the daemon and its children create for their own use, they remove.

A file that stays behind for each request, or for each failed call, fills a disk in weeks and is
seen in no sample when it lies outside the workspace. The witness saw every creation and removal.
A folder fails where its files grow to the end of the run, if it lies outside the workspace or the
names are those of temporary files. Elsewhere in the workspace the files may be results: they are
named as evidence and do not fail. A cache is not judged: its bound may lie beyond this run.
"""

from dataclasses import dataclass

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.witnessed import finding_of, not_witnessed
from chaos.record.globs import regex_of
from chaos.record.open_run import OpenRun

_LEAST = 3  # files
# Each path and when it came and went; a file that is opened again and again came once. What lies
# in a folder that is renamed is lost sight of. What a process had made shortly before a signal
# ended it could not be removed. A daemon may leave one file for each of its own processes.
_LIVED = """
with calls as (
    select * exclude (before) from (
        select *, lag(call) over (partition by path order by line) as before from file_ops
        where service not in ('injector', 'probe', 'command')
        and call in ('open', 'rename', 'link', 'unlink')
    ) where call <> 'open' or before is distinct from 'open'
), made as (
    select call, line, t_s, pid, coalesce(to_path, path) as path from calls
    where call in ('open', 'rename', 'link')
), changes as (
    select line, t_s, pid, path, true as there from made
    union all select line, t_s, pid, path, false from calls where call in ('rename', 'unlink')
    union all select c.line, c.t_s, c.pid, m.path, false
    from calls c join made m on m.line < c.line and starts_with(m.path, c.path || '/')
    where c.call = 'rename' and c.bytes is null
), spans as (
    select *, lead(t_s) over (partition by path order by line, there) as next_s from changes
), named as (
    select s.line, s.t_s, coalesce(s.next_s, 1e12) as gone_s, s.pid, s.path,
        starts_with(s.path, '/') as outside, regexp_extract(s.path, '[^/]*$') as name,
        coalesce(nullif(regexp_extract(s.path, '^(/(?:tmp|var/tmp|dev/shm))/', 1), ''),
            regexp_replace(regexp_extract(s.path, '^(.*)/', 1), '[0-9]+', '*', 'g')) as folder
    from spans s where there and not contains(s.path, '__pycache__')
    and not exists (select 1 from processes p where p.pid = s.pid and p.exit_code is null
        and p.end_s between s.t_s and s.t_s + 10)
), lived as (
    select *, not contains(lower(path), 'cache') and (outside
            or regexp_matches(name, '^tmp[a-z0-9_]{8}|[.](part|tmp|temp|partial|swp)$|~$'))
        as own_use, count(*) filter (gone_s = 1e12) over (partition by folder, pid) as of_process
    from named
), daemons as (
    select pid from processes p where not exists (select 1 from processes parent
        where parent.pid = p.parent and parent.service = p.service and parent.start_s <= p.start_s)
), counted as (
    select * from lived where of_process <> 1 or pid not in (select pid from daemons)
), done as (
    select t_s from file_ops where coalesce(to_place, place) = 'archived'
    and call in ('rename', 'link', 'open') and service <> 'injector'
), marks as (
    select count(*) as requests, quantile_disc(t_s, 0.5) as half_s, quantile_disc(t_s, 0.7) as
        late_s, max(t_s) + 5 as last_s from done
), windows as (
    select injected_s, until_s from faults where injected_s is not null
)"""
_FOLDERS = f"""
{_LIVED}
select folder, own_use,
    count(*) filter (gone_s = 1e12) as left_over,
    count(*) filter (t_s <= last_s and gone_s > last_s)
        - count(*) filter (t_s <= half_s and gone_s > half_s) as later,
    count(*) filter (t_s <= last_s and gone_s > last_s)
        - count(*) filter (t_s <= late_s and gone_s > late_s) as latest,
    any_value(requests) as requests,
    coalesce((select sum((select count(*) from counted i where i.folder = c.folder
            and i.t_s <= until_s and i.gone_s > until_s)
        - (select count(*) from counted i where i.folder = c.folder
            and i.t_s <= injected_s and i.gone_s > injected_s)) from windows), 0) as in_faults,
    max(line) filter (gone_s = 1e12) as line, arg_max(path, line) filter (gone_s = 1e12) as example
from counted c, marks
where not regexp_full_match(path, $results)
group by folder, c.own_use having left_over >= {_LEAST} order by left_over desc, folder
"""


@dataclass(frozen=True)
class _Folder:
    folder: str
    own_use: bool
    left_over: int
    later: int  # growth over the second half of the requests, and over their last third
    latest: int
    requests: int
    in_faults: int  # growth over the windows of faults
    line: int
    example: str

    @property
    def per_request(self) -> bool:
        often = self.requests >= 4 and self.left_over >= 0.4 * self.requests
        return often and self.later >= 2 and self.latest > 0

    @property
    def per_fault(self) -> bool:
        return self.in_faults >= _LEAST and 3 * self.in_faults >= 2 * self.left_over

    def evidence(self) -> Evidence:
        count = (
            f"{self.later} in the second half of {self.requests} requests"
            if self.per_request
            else f"{self.in_faults} while faults were in force"
        )
        text = f"{self.folder}: {self.left_over} files left, {count}; the last is {self.example}"
        return Evidence(f"witness.jsonl:{self.line}", text)


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None in a run without the witness."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    folders = [_Folder(*row) for row in run.sql(_FOLDERS, {"results": _results(run)})]
    growing = [one for one in folders if one.per_request or one.per_fault]
    wrong = [one for one in growing if one.own_use]
    unsure = [one for one in growing if not one.own_use]
    failed = f"working files are left behind in {plural(len(wrong), 'folder')}"
    if wrong:
        return finding_of([one.evidence() for one in wrong], "", failed)
    more = (
        f"; {plural(len(unsure), 'other folder')} with files that may be results" if unsure else ""
    )
    found = finding_of([], f"no working files are left behind{more}", "")
    return [msgspec.structs.replace(found[0], evidence=[one.evidence() for one in unsure])]


def _results(run: OpenRun) -> str:
    """A regular expression for the files that the target names as results."""
    target = run.target
    queue, paths = target.work, target.paths
    return regex_of(
        *queue.places().values(),
        *(paths.policy_candidates, paths.diagnostics, *paths.logs),
        *(artefact.path for artefact in target.prerequisites.artefacts),
    )


CHECK = Check(
    name="files_left",
    title="Files left",
    judge=judge,
    depends=depends_on("stack"),
    always=True,
)
