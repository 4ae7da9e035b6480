"""Why the LLM's answers cannot be used although it answers: what was asked, and what came.

Both are the Watcher's: the server does what it is told. Judged by the wire, outside of faults.
"""

from collections.abc import Callable, Sequence

from chaos.checks.finding import plural
from chaos.triage import steps
from chaos.triage.facts import Facts
from chaos.triage.result import RuledOut, Ruling, cause

_EXPLAINED = (
    *("heuristic_fallbacks", "recovery_time", "completed_cycles", "work_completed", "convergence"),
    *("llm_lifecycle", "paths_taken", "stall", "selfplay_dispatches", "retry_storm"),
)
_SHOWN = ("heuristic_fallbacks", "recovery_time", "completed_cycles", "work_completed", "stall")


def request_refused(facts: Facts) -> Ruling:
    """The server calls the Watcher's requests wrong: a grammar that does not parse, no context."""
    llm = facts.llm
    if not llm.refused or not facts.failed_of(*_SHOWN):
        why = "no request was refused as wrong, or none did harm"
        return RuledOut(name="llm_request_refused", why=why)
    log = steps.grep(facts.place / "logs" / "llm.log", ["error", "failed"], "what the LLM logs")
    return cause(
        "llm_request_refused",
        f"the LLM server refuses {plural(llm.refused_count, 'request')} of the Watcher as wrong: "
        f"{llm.refused[0].text}",
        llm.refused,
        facts.failing(*_EXPLAINED),
        *(steps.at(facts, item) for item in llm.refused[:1]),
        log,
        steps.again(facts),
    )


def answers_cut_short(facts: Facts) -> Ruling:
    """Answers come to the limit of tokens that the Watcher sets, and cannot be used."""
    llm = facts.llm
    if not llm.cut_short or llm.refused or not facts.failed_of(*_SHOWN):
        why = "no answer reached its limit of tokens, or none did harm"
        return RuledOut(name="answers_cut_short", why=why)
    return cause(
        "answers_cut_short",
        f"{plural(llm.cut_short_count, 'answer')} of the LLM reached the limit of tokens that the "
        f"Watcher sets: {llm.cut_short[0].text}",
        llm.cut_short,
        facts.failing(*_EXPLAINED),
        *(steps.at(facts, item) for item in llm.cut_short[:1]),
        steps.again(facts),
    )


RULES: Sequence[Callable[[Facts], Ruling]] = (request_refused, answers_cut_short)
