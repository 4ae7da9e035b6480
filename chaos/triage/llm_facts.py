"""The facts of a stored run about its LLM: failed calls, lost servers, refused requests."""

from chaos.checks.base import evidence_of
from chaos.checks.heuristic_fallbacks import OUTSIDE
from chaos.checks.stack_health import SERVER_LOST, outages
from chaos.checks.witnessed import ATTEMPTS, not_witnessed
from chaos.record.open_run import OpenRun
from chaos.triage.facts import KEPT_MAX, LLMFacts

_ALLOWANCE_S = 10.0
_TEXT = "coalesce(id, '') || ' ' || coalesce(request, '') || ': ' || $text as text"
_LOST_CALL = "exists (select 1 from calls c where c.line = d.line and not c.ok)"
# The same rule as in the check: without a finding, the cause would be a guess.
_FAILED_OUTSIDE = f"""
select decision_ref(line) as ref, {_TEXT} from ({OUTSIDE}) d
where {_LOST_CALL} or coalesce(calls, 0) = 0 order by line
"""
_CONTRADICTING = f"""
select decision_ref(line) as ref, {_TEXT} from decisions d
where fallback and calls > 0 and not {_LOST_CALL} order by line
"""
# The last answer of the LLM, unless a fallback came after it.
_ANSWERED_LAST = f"""
select decision_ref(line) as ref, {_TEXT} from decisions d
where not fallback and exists (select 1 from calls c where c.line = d.line and c.ok)
    and line > coalesce((select max(line) from decisions where fallback), 0)
order by line desc
"""
_CRASHED = """
select server_ref(line) as ref, 'the LLM server ' || pid || ' died by itself' as text from servers
where event = 'crashed' and pid not in (
    select try_cast(effect ->> '$.killed_pid' as bigint) from faults
    where effect ->> '$.killed_pid' is not null)
order by line
"""


_FAILED_ON_WIRE = f"""
with {ATTEMPTS} select count(*) from attempts where not answered and not in_fault(t_s)
"""


# Null without such a fault.
_ASKED_AFTER = """
select if(max(f.until_s) is null, null, (
    select count(*) from wire w where w.link = 'llm' and not w.harness
    and w.t_s > (select max(until_s) from faults where affects_llm and recovered_s is not null)
)) from faults f where f.affects_llm and f.recovered_s is not null
"""
# What the server says of requests that are wrong, and answers that came to their limit of tokens.
_REFUSED = f"""
with {ATTEMPTS}
select wire_ref(a.line) as ref, 'HTTP ' || w.status || ': ' || coalesce(left(w.text, 200), '')
from attempts a join wire w on w.line = a.line
where w.ended = 'answered' and w.status in (400, 401, 403, 404, 405, 413, 415, 422)
    and not in_fault(a.t_s)
order by a.line
"""
_CUT_SHORT = f"""
with {ATTEMPTS}
select wire_ref(a.line) as ref, 'the answer ends at its limit of tokens: ' || left(w.text, 80)
from attempts a join wire w on w.line = a.line
where a.answered and w.finish in ('limit', 'length') and not in_fault(a.t_s) order by a.line
"""


def llm_facts(run: OpenRun) -> LLMFacts:
    """What the decisions, the wire and the server's own record say of the LLM."""
    raw = run.criteria.get("heuristic_fallbacks", {}).get("allowance_s", _ALLOWANCE_S)
    allowance_s = float(raw) if isinstance(raw, (int, float)) else _ALLOWANCE_S
    failed = evidence_of(
        run, _FAILED_OUTSIDE, {"allowance_s": allowance_s, "text": "without the LLM"}
    )
    text = "marked as a fallback, but every call was answered"
    contradicting = evidence_of(run, _CONTRADICTING, {"text": text})
    answered = evidence_of(run, _ANSWERED_LAST, {"text": "the last answer of the LLM"}).shown
    exits = [
        run.evidence(line, f"{event.detail.get('service')} ended by itself")
        for line, event in run.named("service_exit")
        if event.owner != "product"
    ]
    exits += [outage.evidence for outage in outages(run) if outage.name == SERVER_LOST]
    lost = tuple((evidence_of(run, _CRASHED).shown + exits)[:KEPT_MAX])
    witnessed = not_witnessed(run, "wire") is None
    refused, cut_short = evidence_of(run, _REFUSED), evidence_of(run, _CUT_SHORT)
    return LLMFacts(
        failed_outside=tuple(failed.shown[:KEPT_MAX]),
        failed_count=failed.count,
        contradicting=tuple(contradicting.shown[:KEPT_MAX]),
        answered_last=answered[0] if answered else None,
        server_lost=lost,
        reachable="" if lost else _reachable(run),
        watched=run.one("select count(*) from decisions") > 0,
        silent=witnessed and run.one(_ASKED_AFTER) == 0,
        refused=tuple(refused.shown[:KEPT_MAX]),
        refused_count=refused.count,
        cut_short=tuple(cut_short.shown[:KEPT_MAX]),
        cut_short_count=cut_short.count,
        none_failed=witnessed and not run.one(_FAILED_ON_WIRE),
    )


def _reachable(run: OpenRun) -> str:
    """The proof that the LLM was reachable: that of the last fault's recovery, if there is one."""
    recovered = [w for w in run.faults if w.affects_llm and w.end_s is not None]
    if recovered:
        return f"the LLM was proven to answer again ({recovered[-1].ref('recovered')})"
    return "its server never died"
