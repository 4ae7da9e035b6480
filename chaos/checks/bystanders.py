"""Bystanders: the daemon ended no process but its own.

A clean-up by name or by group (`pkill`, `kill -1`) hits whatever runs beside the daemon: the proxy,
the injector, another daemon of the machine. Seen by the witness, so it does not matter whether the
one that was hit recovered. Signal 0 only asks whether a process is there. The daemon's LLM server
is its own: how it is stopped and started is judged as its life cycle.
"""

from chaos.checks.base import Check
from chaos.checks.witnessed import by_witness

# Not a bystander: a process of its own, one that is gone, and one under the same filter that never
# made a watched call.
_HIT = """
select witness_ref(s.line) as ref, printf('%.2f', s.t_s) || ' s: process ' || s.pid || ' of the '
    || s.service || ' sent signal ' || s.signal || ' to ' || case
        when s.target = -1 then 'every process'
        when s.to_service is not null then 'process ' || s.target || ' of the ' || s.to_service
        when s.refused then 'process ' || s.target || ' of the harness'
        else 'process ' || s.target || ', which is none of its own' end
    || if(s.refused, ' (refused)', '') as text
from signals_sent s
where s.service like 'watcher%' and s.signal not in (0, 17, 18, 23, 28) and s.target <> 0
and (s.refused or s.target = -1 or coalesce(s.to_service not like 'watcher%', not s.to_watched))
and abs(s.target) not in (select pid from servers union select "llm.pid" from moments
    where "llm.pid" is not null)
order by s.line
"""

CHECK = Check(
    name="bystanders",
    title="Bystanders",
    judge=by_witness(
        _HIT,
        passed="the Watcher sent no signal to a process that is not its own",
        failed="{wrong} signals of the Watcher to processes that are not its own",
        count="select count(*) from processes where service like 'watcher%'",
    ),
    always=True,
)
