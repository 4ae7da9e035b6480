"""Publication witnessed: each file that a decision claims was published by that very work.

The decision names a path and a SHA-256. The witness saw what was renamed into place, with its hash,
before it happened. A claim of a file that was there already, or that nobody wrote, is untrue, even
where the file that lies there now has that hash.
"""

from chaos.checks.base import Check, depends_on
from chaos.checks.witnessed import WORK, by_witness

# What is published is renamed into place. What is written in place, comes with a whole folder, or
# is too large to be hashed has no known content: its path is enough. So it is where no hash of the
# run fits: then the daemon's hashes are of another kind.
_UNSEEN = f"""
with {WORK}, published as (
    select t_s, to_path as path, lower(sha256) as sha256 from file_ops
    where call in ('rename', 'link') and to_path is not null
    union all select t_s, path, null from file_ops where call = 'open'
), claims as (
    select w.*, c.path, lower(c.sha256) as sha256 from work w join written c using (line)
), comparable as (
    select exists (select 1 from claims c join published p using (path)
        where p.sha256 = c.sha256) as by_hash
), folders as (
    select t_s, to_path || '/' as path from file_ops
    where call = 'rename' and bytes is null and sha256 is null
), fitting as (
    select c.line, c.path, p.t_s, c.from_s, c.to_s + 5 as to_s
    from claims c join published p using (path), comparable
    where not by_hash or p.sha256 is null or p.sha256 = c.sha256
    union all select c.line, c.path, f.t_s, c.from_s, c.to_s + 5
    from claims c join folders f
        on f.t_s between c.from_s and c.to_s + 5 and starts_with(c.path, f.path)
), seen as (
    select distinct line, path from fitting where t_s between from_s and to_s
), before as (
    select distinct line, path from fitting where t_s < from_s
)
select decision_ref(c.line) as ref, c.request || ': ' || c.path || ' is claimed, and ' || if(
    b.line is not null, 'was published before this work began',
    'nobody published it in this work') as text
from claims c anti join seen s using (line, path)
left join before b using (line, path)
order by c.line, c.path
"""

CHECK = Check(
    name="publication_witnessed",
    says=("decisions.written", "decisions.started_at", "decisions.ended_at"),
    title="Publication witnessed",
    judge=by_witness(
        _UNSEEN,
        passed="each of {claims} claimed files was published by the work that claims it",
        failed="{wrong} of {claims} claimed files were not published by the work that claims them",
        count=f"with {WORK} select count(*) from work join written using (line)",
    ),
    depends=depends_on("files", "stack"),
    always=True,
)
