"""Answers witnessed: what the decisions say that the LLM answered came over the wire.

A daemon that makes up its answers looks healthier than one that asks. For each call that it lists
as answered, a whole answer with status 200 must have reached it within the call; and where the
target says in which field the answer stands (`decisions.call.answer`), what is written there must
be in the completion's text. More attempts on the wire than the call lists were hidden. A daemon
that asked the server itself meanwhile went past the link on which faults are injected.
"""

import json
from collections.abc import Iterator
from typing import Any

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.witnessed import ATTEMPTS, SLACK_S, STAMPS, finding_of, not_witnessed
from chaos.record.open_run import OpenRun

_SHOWN = 80
# Calls with their times; `alone`: no other one was made meanwhile.
_CLAIMS = """
claims as (
    select line, number, start_s, end_s, ok, answer, attempts,
        coalesce(max(end_s) over (order by start_s, line, number
            rows between unbounded preceding and 1 preceding) <= start_s, true)
        and coalesce(lead(start_s) over (order by start_s, line, number) >= end_s, true) as alone
    from calls where start_s is not null and end_s is not null
)"""
# An exchange that could not be read may have been the answer: such a call is not judged.
# One row for each claim: the decision's line, what is claimed, what came, and how often it asked.
_COMPARED = f"""
with {_CLAIMS}, {ATTEMPTS}
select c.line, c.number, c.answer, c.attempts,
    list(a.text) filter (a.answered) as texts,
    count(a.line) filter (c.alone and a.t_s >= c.start_s and a.end_s <= c.end_s) as seen,
    (select first(o.address order by o.line) from connects o
        where o.service like 'watcher%' and o.address like '%:' || $port
        and o.t_s between c.start_s - $slack_s and c.end_s + $slack_s) as elsewhere
from claims c left join attempts a
    on a.t_s >= c.start_s - $slack_s and a.end_s <= c.end_s + $slack_s
where c.ok and not exists (
    select 1 from wire g where g.link = 'llm' and not g.harness and g.ended = 'garbled'
    and g.t_s <= c.end_s + $slack_s and g.end_s >= c.start_s - $slack_s)
group by all order by c.line, c.number
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None for a daemon that lists no calls with their times."""
    absent = not_witnessed(run, "wire")
    if absent is not None:
        return absent
    slack_s = SLACK_S + run.one(f"with {STAMPS} select coarse_s from stamps")
    port = run.target.llm.upstream.rpartition(":")[2]
    rows = run.sql(_COMPARED, {"slack_s": slack_s, "port": port})
    if not rows:
        return []
    wrong = list(_wrong(rows))
    refs = {
        line: ref
        for line, ref in run.sql("select line, decision_ref(line) from decisions")
        if line in {line for line, _ in wrong}
    }
    said = plural(len(rows), "answer")
    return finding_of(
        [Evidence(refs[line], text) for line, text in wrong],
        f"each of {said} of the LLM that decisions claim came over the wire",
        f"{{wrong}} of {said} of the LLM that decisions claim never came like that",
    )


def _wrong(rows: list[Any]) -> Iterator[tuple[int, str]]:
    for line, number, claimed, attempts, texts, seen, elsewhere in rows:
        call = f"call {number}"
        if not texts and elsewhere:
            yield line, f"{call} went to {elsewhere}, past the link on which the LLM is reached"
        elif not texts:
            yield line, f"{call} says that the LLM answered, and no answer came over the wire"
        elif claimed is not None and not any(answer_contains(text, claimed) for text in texts):
            came = f"{texts[-1]:.{_SHOWN}}"
            yield line, f"{call} says {claimed:.{_SHOWN}}; over the wire came {came}"
        elif attempts is not None and seen > attempts:
            yield line, f"{call} lists {plural(attempts, 'attempt')}, and {seen} were seen"


def answer_contains(text: str | None, claimed: str) -> bool:
    """Whether every value that is claimed stands in the completion's text."""
    if text is None or claimed in text:
        return text is not None
    try:
        values = list(_values(json.loads(claimed)))
    except (ValueError, RecursionError):
        return False
    return bool(values) and all(value in text for value in values)


def _values(claimed: Any) -> Iterator[str]:
    """The texts and numbers in decoded JSON, as JSON has them inside of quotes."""
    if isinstance(claimed, dict):
        claimed = list(claimed.values())
    if isinstance(claimed, list):
        for part in claimed:
            yield from _values(part)
    elif claimed is not None:
        yield json.dumps(claimed, ensure_ascii=False).strip('"')


CHECK = Check(
    name="answers_witnessed",
    says=("calls.answer", "calls.started_at", "calls.ended_at"),
    title="Answers witnessed",
    judge=judge,
    depends=depends_on("files", "stack"),
    always=True,
)
