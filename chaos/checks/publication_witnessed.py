"""Publication witnessed: each file that a decision claims was published by that very work.

The decision names a path and a SHA-256. The witness saw what was renamed into place, with its hash,
before it happened. A claim of a file that was there already, or that nobody wrote, is untrue, even
where the file that lies there now has that hash.
"""

from chaos.checks.base import Check, depends_on
from chaos.checks.witnessed import WORK, by_witness

# What is published is renamed into place. What is written in place has no known content: its being
# opened to be written in that time is enough.
_UNSEEN = f"""
with {WORK}
select decision_ref(w.line) as ref, w.request || ': ' || c.path || ' is claimed, and ' || if(
    exists (select 1 from file_ops f
        where f.to_path = c.path and f.sha256 = c.sha256 and f.t_s < w.from_s),
    'was published before this work began', 'nobody published it in this work') as text
from work w join written c using (line)
where not exists (select 1 from file_ops f
    where f.t_s between w.from_s and w.to_s + 5 and (f.to_path = c.path and f.sha256 = c.sha256
        or f.path = c.path and f.call = 'open'))
order by w.line, c.path
"""

CHECK = Check(
    name="publication_witnessed",
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
