"""Stack health: the parts that are not under judgement did their work.

When the proxy, the injector or the LLM server fails by itself, also one that is not of the run, or
a GPU is lost that no fault took, the run says nothing about the Watcher: it is invalid, not failed.
"""

from collections.abc import Iterator

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.gpu_losses import own_losses
from chaos.record.history import Event, Owner
from chaos.record.open_run import OpenRun

# Told by other checks: why the run ended, and what was left behind.
_JUDGED_ELSEWHERE = frozenset({"stopped", "cleanup", "guardrail", "watcher_exit"})
# The injector was sampled, and then no longer, before it was stopped and outside faults that end or
# pause it. Looks come at most every second; two in a row are no matter of timing.
_INJECTOR_GONE = """
with watched as (
    select line, t_s, "injector.pid" as pid from moments, run where t_s > coalesce((
            select min(t_s) from events where name = 'injector_started'), to_s) + 2
        and t_s < least(to_s, coalesce((
            select min(t_s) from events where name = 'injector_stopped'), to_s)) - 1
), seen as (
    select *, coalesce((select max(s.line) from watched s where s.pid is not null
        and s.line < w.line), 0) as last_line from watched w
)
select min(line), min(t_s) from seen s where pid is null and last_line > 0
and not exists (select 1 from faults f where f.injected_s is not null
    and (list_contains(f.ends, 'injector') or f.undo ->> '$.service' = 'injector')
    and s.t_s >= f.earliest_s and s.t_s <= f.until_s + 2)
having count(*) >= 4 and max(t_s) - min(t_s) >= 2
"""
SERVER_LOST = "llm_lost"
# A server that is not of the run answered no probe for a second or more, and was down at least
# once: one that only takes its time ("hung") is no outage.
_SERVER_LOST = """
with seen as (
    select line, t_s, "llm.health" as health,
        count(*) filter (health = 'ok') over (order by line) as answers
    from moments m, run where health is not null and t_s between from_s and to_s
    and not exists (select 1 from faults f where list_contains(f.ends, 'llm')
        and m.t_s >= f.earliest_s and m.t_s <= f.until_s + 2)
)
select min(line), min(t_s), max(t_s) from seen where health <> 'ok' group by answers
having max(t_s) - min(t_s) >= 1 and bool_or(health = 'down') order by min(line)
"""


class Outage:
    """Something that went wrong and was not the product: when, whose, and where it stands."""

    def __init__(self, t_s: float, owner: Owner, evidence: Evidence, name: str) -> None:
        self.t_s, self.owner, self.evidence, self.name = t_s, owner, evidence, name


def outages(run: OpenRun) -> list[Outage]:
    """All of them, in the order of time."""
    return run.once("outages", _outages)


def _outages(run: OpenRun) -> list[Outage]:
    events = [
        (line, event)
        for line, event in run.events
        if event.owner != "product"
        and event.name not in _JUDGED_ELSEWHERE
        and (event.severity == "error" or event.name == "service_exit")
    ]
    found = [
        Outage(event.t_s, event.owner, run.evidence(line, _text(event)), event.name)
        for line, event in events + own_losses(run)
    ]
    services = {event.detail.get("service") for _, event in events}
    line, t_s = run.one(_INJECTOR_GONE) or (None, 0.0)
    if line is not None and "injector" not in services:
        text = f"injector ended by itself at {t_s:.1f} s (harness): no process of it was sampled"
        found.append(Outage(t_s, "harness", run.evidence(line, text), "service_exit"))
    return sorted([*found, *_server_lost(run)], key=lambda outage: outage.t_s)


def _server_lost(run: OpenRun) -> Iterator[Outage]:
    """Times in which an LLM server that is not of the run failed."""
    if not run.target.llm.external:
        return
    for line, from_s, to_s in run.sql(_SERVER_LOST):
        text = f"the LLM server {run.target.llm.external}, which is not of the run, was down"
        text = f"{SERVER_LOST} at {from_s:.1f} s (infrastructure): {text} until {to_s:.1f} s"
        yield Outage(from_s, "infrastructure", run.evidence(line, text), SERVER_LOST)


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """Nothing of the kind is reported as a pass, so that its absence can be seen."""
    found = outages(run)
    if not found:
        return [Finding(outcome="pass", owner="infrastructure", summary="no outage of our own")]
    infrastructure = any(outage.owner == "infrastructure" for outage in found)
    return [
        Finding(
            outcome="invalid",
            owner="infrastructure" if infrastructure else "harness",
            summary=f"{plural(len(found), 'outage')} that are not the Watcher's: "
            + found[0].evidence.text,
            measured=len(found),
            limit=0,
            evidence=[outage.evidence for outage in found],
        )
    ]


def _text(event: Event) -> str:
    what = event.detail.get("message") or event.detail.get("service") or event.detail
    return f"{event.name} at {event.t_s:.1f} s ({event.owner}): {what}"


CHECK = Check(name="stack_health", title="Stack health", judge=judge, always=True)
