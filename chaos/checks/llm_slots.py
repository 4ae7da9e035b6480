"""LLM slots: after a broken connection the LLM server lets go of the work it had for it."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.record.open_run import OpenRun

# So many readings of the server's own gauges are needed before their silence means anything.
_READINGS_MIN = 3
_REPLACED = """
with old as (select "llm.pid" as pid from moments where "llm.pid" is not null and t_s < $since_s
    order by line desc limit 1)
select line, old.pid::bigint, "llm.pid"::bigint from moments, old
where t_s between $since_s and $until_s and "llm.pid" <> old.pid order by line limit 1
"""
_READINGS = 'select count("llm.requests_processing") from moments'
_GAUGES = """
with busy as (
    select line, t_s, "llm.requests_processing" + "llm.requests_deferred" as requests from moments
    where t_s between $since_s and $until_s
)
select count(requests), min(line) filter (requests = 0), min(t_s) filter (requests = 0),
    max(line) filter (requests is not null), arg_max(requests, line) filter (requests is not null)
from busy
"""


class LLMSlotsParams(Params, frozen=True):
    """`limit_s`: from a recovery (or back from the end) until all slots were seen free."""

    limit_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0


def _lacks(run: OpenRun) -> str:
    """Only a server that is not ours may have no gauges."""
    if run.target.llm.server is None or run.one(_READINGS):
        return ""
    return "the LLM server (llm.server) has no llamacpp:requests_processing at /metrics"


def judge(run: OpenRun, params: LLMSlotsParams) -> list[Finding]:
    """Read from llama-server's `requests_processing` and `requests_deferred`."""
    end_s = run.measured_span_s()[1]
    spans = [
        (f"after {window.label}", window.end_s, min(window.end_s + params.limit_s, end_s))
        for window in run.faults
        if window.affects_llm and window.end_s is not None and window.end_s < end_s
    ]
    spans.append(("at the end", max(end_s - params.limit_s, 0.0), end_s))
    judged = [_free_in(run, name, since_s, until_s) for name, since_s, until_s in spans]
    outcomes = [outcome for outcome, _ in judged]
    worst: Outcome = next((o for o in ("fail", "inconclusive") if o in outcomes), "pass")
    return [
        Finding(
            outcome=worst,
            summary=f"all slots free again at {outcomes.count('pass')} of "
            f"{plural(len(judged), 'moment')} (limit {params.limit_s:g} s)",
            measured=outcomes.count("fail"),
            limit=0,
            evidence=[item for _, item in sorted(judged, key=lambda one: one[0])],
        )
    ]


def _free_in(run: OpenRun, name: str, since_s: float, until_s: float) -> tuple[Outcome, Evidence]:
    """Whether both gauges stood at 0 together at some moment of the span. A server process that
    began within it holds nothing of what the old one held.
    """
    span = {"since_s": since_s, "until_s": until_s}
    if replaced := run.one(_REPLACED, span):
        line, old, new = replaced
        return "pass", run.evidence(line, f"{name}: server {old} ended, {new} holds nothing of it")
    readings, free_line, free_s, last_line, held = run.one(_GAUGES, span)
    if readings < _READINGS_MIN:
        return "inconclusive", Evidence("history.jsonl", f"{name}: the server was hardly sampled")
    if free_line is not None:
        text = f"{name}: free within {free_s - since_s:.1f} s"
        return "pass", run.evidence(free_line, text)
    text = f"{name}: {held:.0f} requests still held after {until_s - since_s:.1f} s"
    return "fail", run.evidence(last_line, text)


CHECK = Check(
    name="llm_slots",
    title="LLM slots",
    judge=judge,
    lacks=_lacks,
    params=LLMSlotsParams,
    depends=depends_on("stack"),
)
