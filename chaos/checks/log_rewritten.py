"""Log rewritten: no line of the decision log, or of the daemon's own logs, was taken away.

The log at the end shows only what was left in it. The witness sees each call that makes a log
shorter. Half a line at the end may be cut off: that is how a torn log is repaired. A log that is
renamed or copied to a name that remains was rotated. A daemon's own log may also begin anew at the
start of a process, keep to a size, or hold only the last state: such a file is no log of the run.
"""

from chaos.checks.base import Check, Params, Rows, depends_on, evidence_of
from chaos.checks.decision_log import SHRUNK
from chaos.checks.finding import Finding, plural
from chaos.checks.witnessed import not_witnessed
from chaos.record.globs import regex_of
from chaos.record.open_run import OpenRun

_LOGS = """
calls as (
    select *, if(call = 'rename', to_path, path) as log from file_ops
    where service not in ('injector', 'probe')
), logs as (
    select *, log = $decisions as deciding from calls
    where log = $decisions or regexp_full_match(log, $own)
), copies as (
    select t_s, path, coalesce(to_path, path) as copy from calls
    where call in ('rename', 'link', 'open')
)"""
# A copy of the same name before its ending (watcher.log -> watcher.1.log, watcher.log.2026-11-30),
# which is not removed at once and does not take the place of the log.
_ROTATED = """
exists (select 1 from copies k where k.copy <> l.log and k.t_s between l.t_s - 5 and l.t_s + 1
    and (k.path = l.log or starts_with(regexp_extract(k.copy, '[^/]*$'),
        regexp_extract(l.log, '([^/]*)[.][^./]*$', 1) || '.'))
    and not exists (select 1 from calls m where m.path = k.copy and (m.to_path = l.log
        or (m.call = 'unlink' and m.t_s between k.t_s and k.t_s + 60))))"""
# Of an own log: a cut by a process that had the same file open before; not most of its opens.
_OF_A_LOG = """
exists (select 1 from logs o where o.log = l.log and o.pid = l.pid and o.line < l.line
    and o.call = 'open')
and l.cut_bytes < 1000000 and not in_fault(l.t_s)
and (select 2 * count(cut_bytes) < count(*) from logs o where o.log = l.log and o.call = 'open')"""
_CUT = f"""
with {_LOGS}
select witness_ref(line) as ref, log || ' lost ' || coalesce(cut_bytes || ' bytes of whole lines',
    'all its lines') || ' at ' || printf('%.1f', t_s) || ' s (' || call || ' by process ' || pid
    || ')' as text
from logs l
where (cut_bytes > 0 or (call = 'unlink' and deciding)) and not {_ROTATED}
and if(deciding, call <> 'truncate' or not in_fault(t_s), call <> 'rename' and {_OF_A_LOG})
order by not deciding, line
"""
_ROTATIONS = "select count(*) from file_ops where call in ('rename', 'link') and path = $decisions"
_COUNT = f"with {_LOGS} select count(distinct log) from logs"


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None in a run without the witness, or where no log was seen to be written."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    target = run.target
    names = {"decisions": target.decisions.path, "own": regex_of(*target.paths.logs)}
    count = run.one(_COUNT, names)
    if not count:
        return []
    cut = evidence_of(run, _CUT, names)
    fell = Rows(0, []) if run.one(_ROTATIONS, names) else evidence_of(run, SHRUNK)
    wrong = cut.count + fell.count
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=f"lines of a log were taken away {plural(wrong, 'time')}"
            if wrong
            else f"no line was taken out of {plural(count, 'log')}",
            measured=wrong,
            limit=0,
            evidence=[*cut.shown, *fell.shown],
            evidence_count=wrong,
        )
    ]


CHECK = Check(
    name="log_rewritten",
    says=("decisions",),
    title="Log rewritten",
    judge=judge,
    depends=depends_on("stack"),
    always=True,
)
