"""Wrong answers: what the LLM answered wrongly was obeyed or refused, and the record says which.

`llm_wrong_decision` gives answers that the grammar allows and the model did not give. A daemon
cannot know that; what must be known is what it did. Without that the fault has tested nothing.
"""

from chaos.checks.answers_witnessed import answer_contains
from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.witnessed import ATTEMPTS, SLACK_S, not_witnessed
from chaos.record.open_run import OpenRun

_FAULT = "llm_wrong_decision"
# An answer is wrong if the server behind the proxy gave another one. A row for each claim of a call
# that such an answer came to.
_GIVEN = f"""
with {ATTEMPTS}
select a.line, a.text, c.ok, c.answer, d.fallback
from attempts a join faults f on f.name = '{_FAULT}' and f.proven_s is not null
    and a.t_s >= f.injected_s and a.t_s <= coalesce(f.recovering_s, f.until_s)
left join calls c on a.t_s >= c.start_s - {SLACK_S} and a.end_s <= c.end_s + {SLACK_S}
left join decisions d on d.line = c.line
where a.answered and exists (
    select 1 from wire u where u.link = 'upstream' and u.method = 'POST' and u.text != a.text
    and u.t_s >= a.t_s and u.end_s <= a.end_s + {SLACK_S})
order by a.line
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None in a run without that fault."""
    if not any(fault.name == _FAULT for fault in run.injected_faults):
        return []
    absent = not_witnessed(run, "wire")
    if absent is not None:
        return absent
    told: dict[int, str] = {}
    for line, text, ok, answer, fallback in run.sql(_GIVEN):
        obeyed = ok and answer is not None and answer_contains(text, answer)
        refused = ok is False or fallback
        told[line] = "obeyed" if obeyed else "refused" if refused else told.get(line, "not known")
    count = {word: list(told.values()).count(word) for word in ("obeyed", "refused")}
    known = sum(count.values())
    summary = (
        f"{plural(len(told), 'wrong answer')}: {count['obeyed']} obeyed, {count['refused']} refused"
    )
    if not told:
        summary = "no wrong answer reached the daemon"
    elif known < len(told):
        summary += f", of {len(told) - known} the decision log does not say"
    return [
        Finding(
            outcome="pass" if known else "unverified",
            owner="harness",
            summary=summary,
            measured=known,
            limit=1,
            evidence=[Evidence(f"wire.jsonl:{line}", what) for line, what in told.items()][:10],
        )
    ]


CHECK = Check(
    name="wrong_answers",
    title="Wrong answers",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
