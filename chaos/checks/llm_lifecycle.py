"""LLM lifecycle: a clean stop and start around every dispatch, never two servers.

Read from the supervisor's own record of processes, not from what the Watcher says it did; of a
server that the daemon starts by itself, from the system-call witness. A server
that a fault has killed, and the one dispatch beside a fault that ends servers or the Watcher, are
not held against the product, nor is a dispatch for which a fault refused the Watcher several
connections to the supervisor; a second server asked for while the first one loads is.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, Rows, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.gpu_memory import gpu_growth_mb
from chaos.checks.witnessed import not_witnessed
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun

_BESIDE_S = 0.25  # two clocks, and a server is started as soon as the child is seen to end

# Who gives up after the first refusal is not excused.
_REFUSED = """
(select count(*) from calls_changed c where c.call = 'connect' and c.path = $control
    and c.change not in ('delayed', 'SIGKILL') and c.t_s between {start} and {end}) >= 3"""
# Every event with the last start before it that had not ended yet, and whether that was stopped.
_WALK = """
walk as (
    select line, t_s, event, pid,
        max(line) filter (event = 'start') over before as start_line,
        max(line) filter (event in ('gone', 'crashed')) over before as end_line,
        max(line) filter (event = 'stop') over before as stop_line,
        max_by(pid, line) filter (event = 'start') over before as last_pid
    from servers
    window before as (order by line rows between unbounded preceding and 1 preceding)
), states as (
    select *, coalesce(start_line > coalesce(end_line, 0), false) as running,
        coalesce(stop_line > greatest(coalesce(end_line, 0), start_line), false) as stopping
    from walk
)"""
# A fault killed the very process that it says it killed; one that could not prove what it did, any
# that died in its time.
_KILLED = """
exists (select 1 from faults f where list_contains(f.ends, 'llm') and f.injected_s is not null
    and s.t_s >= f.earliest_s and if(f.proven_s is not null,
        try_cast(f.effect ->> '$.killed_pid' as bigint) = s.pid,
        s.t_s <= coalesce(f.recovered_s, s.t_s)))"""
_IRREGULAR = f"""
with {_WALK}
select server_ref(line) as ref, printf('%.2f', t_s) || ' s: ' || problem as text from (
    select line, t_s, 0 as rank, 'server ' || pid || ' started ' || if(stopping,
        'before the last one was gone', 'while another one ran') || ' (' || last_pid || ')'
        as problem
    from states where event = 'start' and running
    union all select line, t_s, 1, 'the new server has the old PID ' || pid
    from states where event = 'start' and pid = last_pid
    union all select line, t_s, 2, 'server ' || pid || ' died by itself'
    from states s where event = 'crashed' and not {_KILLED}
    union all select line, t_s, 3, 'server ' || last_pid || ' was stopped and never gone'
    from states, run where line = (select max(line) from servers) and event = 'stop' and running
        and complete
) order by line, rank
"""
_COUNTS = f"""
select count(*) filter (event = 'start'), count(*) filter (event = 'stop'),
    count(*) filter (event = 'crashed' and {_KILLED}) from servers s
"""
# Completed dispatches within which the server was not stopped and started again. Clocks
# differ by up to 0.05 s.
_NOT_CYCLED = f"""
with done as (
    select line, request, start_s - 0.05 as from_s, end_s + 0.05 as to_s from decisions
    where completed and dispatch is not null
), gone as (
    select d.*, g.t_s as gone_s from done d asof left join (
        select t_s from servers where event = 'gone') g on g.t_s >= d.from_s
), back as (
    select g.*, s.t_s as back_s from gone g asof left join (
        select t_s from servers where event = 'start') s on s.t_s >= g.gone_s
), problems as (
    select line, request, exists (select 1 from faults f where f.injected_s is not null
            and (list_contains(f.ends, 'llm') or list_contains(f.ends, 'watcher'))
            and b.from_s <= f.until_s and b.to_s >= f.earliest_s)
            or {_REFUSED.format(start="b.from_s", end="b.to_s")} as beside,
        case when from_s is null or to_s is null then 'the decision has no times'
            when not coalesce(gone_s <= to_s, false)
                then 'the LLM server was not stopped for the dispatch'
            when not coalesce(back_s <= to_s, false)
                then 'the LLM server was not started again after the dispatch' end as problem
    from back b
)
select decision_ref(line) as ref, request || ': ' || problem as text from problems
where problem is not null and (beside and problem <> 'the decision has no times') = $beside
order by line
"""
# Completed dispatches whose child, as witnessed, worked beside a server: the memory was not free.
_BESIDE_CHILD = f"""
with {_WALK}, lives as (
    select s.pid, s.t_s as begin_s, coalesce(min(e.t_s), 1e12) as end_s
    from walk s left join walk e on e.line > s.line and e.event in ('gone', 'crashed')
    where s.event = 'start' group by s.line, s.pid, s.t_s
)
select decision_ref(d.line) as ref, d.request || ': server ' || l.pid || ' ran '
    || printf('%.1f', least(p.end_s, l.end_s) - greatest(p.start_s, l.begin_s))
    || ' s beside the child ' || p.pid as text
from decisions d join processes p on p.pid = d.child_pid and p.service like 'watcher%'
    and p.start_s between d.start_s and d.end_s
join lives l on least(p.end_s, l.end_s) - greatest(p.start_s, l.begin_s) > {_BESIDE_S}
where d.completed and d.dispatch is not null and not exists (
    select 1 from faults f where f.injected_s is not null
    and (list_contains(f.ends, 'llm') or list_contains(f.ends, 'watcher'))
    and d.start_s <= f.until_s and d.end_s >= f.earliest_s)
and not {_REFUSED.format(start="d.start_s", end="d.end_s")}
order by d.line
"""
# The record of a server that the daemon starts says who listens, one at a time. Two at once are
# processes with the command line of one that has listened; a server's own children do not count.
_TWO_OF_THE_DAEMON = f"""
with alike as (
    select * from processes where argv in (
        select p.argv from servers s join processes p on p.pid = s.pid
        where s.event = 'start' and s.t_s >= p.start_s - 0.1
            and s.t_s <= coalesce(p.end_s, s.t_s) + 0.1)
), own as (select * from alike where parent not in (select pid from alike))
select witness_ref(b.line) as ref, printf('%.2f', b.start_s) || ' s: the daemon started server '
    || b.pid || ' while ' || a.pid || ' ran' as text
from own a join own b on b.line > a.line
where least(coalesce(a.end_s, 1e12), coalesce(b.end_s, 1e12)) - b.start_s > {_BESIDE_S}
order by b.line
"""
_DISPATCHES = "select count(*) from decisions where completed and dispatch is not null"
_STARTED = """
select server_ref(line) as ref, printf('%.2f', t_s) || ' s: server ' || pid || ' started' as text
from servers where event = 'start' order by line limit 2
"""


_UNSEEN = (
    "not judged: the daemon starts its LLM server by itself (llm.server), and two at once are seen "
    "only where system calls are witnessed"
)
_CYCLED_BY = ("llm.stopped_for_work", "decisions.started_at", "decisions.ended_at")


class LLMLifecycleParams(Params, frozen=True):
    """`gpu_growth_mb`: how much more GPU memory may stay in use at its lowest, from the first
    third of the run to the last one. Not judged where no GPU was sampled.
    """

    gpu_growth_mb: Annotated[float, msgspec.Meta(gt=0)] = 100.0


def judge(run: OpenRun, params: LLMLifecycleParams) -> list[Finding]:
    """The plan, soak C, row "LLM lifecycle: clean stop/restart every cycle"."""
    path = run.target.llm.events
    if not (run.files / path).is_file():
        text = f"the record of LLM servers, {path}, is missing"
        return [Finding(outcome="unverified", summary=text)]
    adopted = run.target.llm.adopted
    if adopted and (absent := not_witnessed(run)) is not None:
        return absent or [Finding(outcome="unverified", summary=_UNSEEN)]
    irregular = evidence_of(run, _TWO_OF_THE_DAEMON if adopted else _IRREGULAR)
    control = {"control": run.target.llm.control}
    none = Rows(0, [])
    no_cycles = _why_no_cycles(run)
    cycles = not no_cycles
    not_cycled = evidence_of(run, _NOT_CYCLED, {**control, "beside": False}) if cycles else none
    # Where it was not stopped at all, that is what is wrong.
    asks = cycles and not not_cycled.count
    with_child = evidence_of(run, _BESIDE_CHILD, control) if asks else none
    beside = evidence_of(run, _NOT_CYCLED, {**control, "beside": True}).count if cycles else 0
    again = [found for window in run.faults if (found := _asked_again(window)) is not None]
    starts, stops, killed = run.one(_COUNTS)
    dispatches = run.one(_DISPATCHES)
    grown = gpu_growth_mb(run)
    gpu = []
    if grown is not None and grown[0] > params.gpu_growth_mb:
        text = f"GPU memory in use at its lowest grew by {grown[0]:.0f} MB"
        gpu.append(run.evidence(grown[1], text))
    count = irregular.count + not_cycled.count + with_child.count + len(again) + len(gpu)
    summary = (
        f"{plural(starts, 'start')}, {plural(stops, 'stop')}, "
        f"{plural(dispatches, 'dispatch', 'dispatches')}; "
    )
    summary += f"{count} irregular" if count else "never two servers at once"
    if killed:
        summary += f"; {killed} killed by a fault"
    if beside:
        text = plural(beside, "dispatch", "dispatches")
        summary += f"; {text} beside a fault that ends or cuts it not judged"
    summary += no_cycles
    if grown is None:
        summary += "; no GPU memory to watch here"
    wrong = [*irregular.shown, *again, *gpu, *not_cycled.shown, *with_child.shown]
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=summary,
            measured=count,
            limit=0,
            evidence=wrong or evidence_of(run, _STARTED).shown,
            evidence_count=count,
        )
    ]


def _why_no_cycles(run: OpenRun) -> str:
    """Cycles are judged where the target says that it cycles, and when its dispatches were."""
    if run.target.llm.adopted:
        return "; stops and cycles not judged: the daemon starts its server (llm.server)"
    unsaid = [key for key in _CYCLED_BY if not run.target.says(key)]
    said = " or ".join(unsaid)
    return f"; cycles not judged: the target does not say {said}" if unsaid else ""


def _asked_again(window: FaultWindow) -> Evidence | None:
    """A fault that makes a load slow counts how often a second server was asked for meanwhile."""
    times = window.evidence("effect_proven").get("asked_again")
    if not isinstance(times, int) or times <= 0 or not {"llm", "watcher"} & set(window.ends):
        return None
    text = f"a second server was asked for while the first one loaded, {times} x"
    return Evidence(window.ref("effect_proven"), f"{window.fault_id}: {text}")


CHECK = Check(
    name="llm_lifecycle",
    says=("llm.events",),
    title="LLM lifecycle",
    origin="plan, soak C: LLM lifecycle",
    judge=judge,
    params=LLMLifecycleParams,
    depends=depends_on("files", "stack"),
)
