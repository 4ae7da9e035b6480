"""Causes that one finding shows by itself: its evidence is the defect, seen. One row per cause.

A rule of rules.py joins several facts into a cause. Here nothing has to be joined: a second
decision on a request is work done twice, whatever else is wrong.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from chaos.checks.finding import Evidence, Finding
from chaos.triage import steps
from chaos.triage.facts import Facts
from chaos.triage.result import Cause, Name, RuledOut, Ruling, cause


@dataclass(frozen=True)
class Direct:
    """`checks` show the cause where they fail; with `words`, by evidence that has one of them.

    `explains`: other checks whose failures are then effects of the same.
    """

    name: Name
    says: str
    checks: tuple[str, ...]
    words: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()


# What two Watchers on one queue break is chance.
_SHARED_QUEUE = (
    *("exactly_once", "fifo", "order_witnessed", "requests_witnessed", "request_queue"),
    *("decision_log", "log_rewritten", "routing", "work_completed", "child_witnessed"),
    *("publication_witnessed", "parameters_witnessed", "policy_candidates", "llm_lifecycle"),
    *("answers_witnessed", "stall", "files_left"),
)
# The most specific first: a later cause whose failed checks are all explained is an effect.
DIRECT = (
    Direct(
        "bystander_ended",
        "the Watcher ends processes that are not its own",
        ("bystanders",),
        explains=(
            *("llm_lifecycle", "draws_ingested", "draws_expected", "recovery_time", "stall"),
            *("heuristic_fallbacks", "llm_slots", "completed_cycles", "convergence", "telemetry"),
        ),
    ),
    Direct(
        "no_lock",
        "nothing keeps a second Watcher out",
        ("single_watcher",),
        explains=_SHARED_QUEUE,
    ),
    Direct(
        "duplicate_work",
        "requests are worked more than once",
        ("exactly_once",),
        words=(" decided again (", "sequence number of", "took effect"),
        explains=(
            *("decision_log", "routing", "policy_candidates", "fifo", "llm_lifecycle"),
            *("order_witnessed", "requests_witnessed", "heuristic_fallbacks"),
        ),
    ),
    Direct(
        "ids_repeated",
        "decisions have ids that others have",
        ("decision_log", "exactly_once"),
        words=("decision id ",),
        explains=("routing", "policy_candidates"),
    ),
    Direct(
        "request_tampered",
        "request files do not reach the archive as they were emitted",
        ("requests_witnessed",),
        explains=("request_queue", "requests_archived", "exactly_once", "routing", "decision_log"),
    ),
    Direct(
        "log_rewritten",
        "lines of a log are taken away while the Watcher runs",
        ("log_rewritten",),
        explains=(
            *("decision_log", "exactly_once", "completed_cycles", "selfplay_dispatches"),
            *("request_queue", "stall", "work_completed"),
        ),
    ),
    Direct(
        "wrong_order",
        "requests are not worked in the order of their arrival",
        ("fifo", "order_witnessed"),
    ),
    Direct(
        "trigger_silent",
        "the Watcher's own trigger never asks for selfplay",
        ("selfplay_dispatches",),
        words=("asked for no selfplay",),
    ),
    Direct(
        "past_the_link",
        "the Watcher reaches its LLM on a way that no fault can break",
        ("answers_witnessed",),
        words=(", past the link",),
        explains=("heuristic_fallbacks", "recovery_time", "llm_lifecycle", "paths_taken"),
    ),
    Direct(
        "answers_made_up",
        "the log has answers that the LLM did not give",
        ("answers_witnessed",),
        words=("no answer came over the wire", "over the wire came"),
        explains=(
            "heuristic_fallbacks",
            "recovery_time",
            "llm_lifecycle",
            "convergence",
            "parameters_witnessed",
        ),
    ),
    Direct(
        "parameters_ignored",
        "what a request or the LLM asks for does not arrive in the work",
        ("parameters_witnessed",),
    ),
    Direct(
        "work_not_done",
        "work is claimed that was not done",
        ("child_witnessed", "publication_witnessed", "routing"),
        explains=(
            *("policy_candidates", "selfplay_dispatches", "llm_lifecycle", "work_completed"),
            *("convergence", "telemetry"),
        ),
    ),
    Direct("retry_storm", "the Watcher retries without a pause", ("retry_storm",)),
    Direct(
        "halt_ignored",
        "the Watcher does not stop when it is told to",
        ("halt",),
        words=("did not stop", "too long", "halted after", "exit code"),
    ),
    Direct(
        "second_server",
        "a second LLM server is started or asked for beside the first",
        ("llm_lifecycle",),
        words=("while another one ran", "a second server was asked for"),
    ),
    Direct(
        "leak_on_error",
        "what a fault costs is not given back",
        ("growth_per_fault",),
        explains=("file_descriptors", "resource_growth", "memory_growth"),
    ),
    Direct(
        "attempts_hidden",
        "the LLM is asked more often than the log says",
        ("answers_witnessed",),
        words=("were seen",),
    ),
    Direct(
        "no_time_limit",
        "calls to the LLM wait longer than the target says",
        ("call_time_limit",),
        explains=("stall", "recovery_time", "paths_taken"),
    ),
    Direct(
        "stays_slow",
        "after the faults the work takes longer than before them",
        ("steady_state",),
        explains=("recovery_time", "stall"),
    ),
    Direct("busy_idle", "the Watcher takes a processor while it has no work", ("idle_cpu",)),
    Direct(
        "hidden_fallback",
        "decisions without the LLM are logged as decisions of the LLM",
        ("heuristic_fallbacks",),
        words=("not marked as a fallback", "says that the LLM answered", "the decisions claim"),
    ),
)
# For what no cause explains: what is wrong is seen, and why stands at the place that the evidence
# points to. The first ones explain the later ones.
SYMPTOMS = (
    Direct(
        "llm_unused",
        "the LLM is not asked, or its answers are refused, while it can be reached",
        ("heuristic_fallbacks",),
        words=("fallback while the LLM could be reached",),
        explains=("convergence", "recovery_time"),
    ),
    Direct(
        "llm_not_managed",
        "the LLM server is not stopped for the work, or not started after it",
        ("llm_lifecycle",),
        explains=("heuristic_fallbacks", "recovery_time", "gpu_memory"),
    ),
    Direct(
        "history_changed",
        "the draw history does not hold the draws that were injected",
        ("draws_expected",),
        explains=("draws_ingested", "convergence"),
    ),
    Direct(
        "draws_lost",
        "draws arrive that the Watcher never diagnoses",
        ("draws_ingested",),
        explains=("request_queue", "completed_cycles", "convergence", "selfplay_dispatches"),
    ),
    Direct(
        "bad_files_accepted",
        "files that are no requests are not set aside",
        ("request_queue",),
        explains=("requests_archived", "requests_pending"),
    ),
    Direct(
        "requests_left",
        "finished requests do not reach the archive",
        ("requests_archived", "requests_pending"),
        explains=("request_queue",),
    ),
    Direct(
        "decisions_missing",
        "requests are worked without a decision in the log",
        ("exactly_once",),
        explains=("decision_log", "completed_cycles", "selfplay_dispatches"),
    ),
    Direct(
        "log_broken",
        "the decision log has lines that are not whole or not unique",
        ("decision_log",),
    ),
    Direct(
        "work_fails",
        "dispatches do not complete, and no fault explains it",
        ("work_completed",),
        explains=("completed_cycles", "convergence", "telemetry", "selfplay_dispatches"),
    ),
    Direct(
        "files_grow",
        "files grow without limit",
        ("disk_growth", "log_growth"),
    ),
    Direct(
        "candidates_repeated",
        "policy candidates are not new",
        ("policy_candidates",),
        explains=("convergence",),
    ),
    Direct(
        "telemetry_broken",
        "telemetry is missing, not valid, or does not change",
        ("telemetry",),
    ),
    Direct(
        "errors_logged",
        "the Watcher logs exceptions that it does not handle",
        ("errors",),
    ),
    Direct(
        "not_learning",
        "the predictions do not get better with the draws",
        ("convergence",),
    ),
)


def symptom(facts: Facts, explained: Collection[str], doubtful: Collection[str]) -> Cause | None:
    """The first symptom of a failed check that is not `explained`; None without one.

    `doubtful`: checks of which an open cause may be the reason.
    """
    for direct in SYMPTOMS:
        failed = [
            found
            for found in facts.failed_of(*direct.checks)
            if found.check not in explained and found.check not in doubtful
        ]
        if ruling := _named(direct, facts, failed):
            return ruling
    return None


def _named(direct: Direct, facts: Facts, failed: Sequence[Finding]) -> Cause | None:
    """The cause, if one of these findings shows it."""
    failed = [found for found in failed if _shown(direct, found)]
    if not failed:
        return None
    evidence = [item for finding in failed for item in _shown(direct, finding)]
    return cause(
        direct.name,
        f"{direct.says}: {evidence[0].text}",
        evidence,
        facts.failing(*(finding.check for finding in failed), *direct.explains),
        *(steps.at(facts, item) for item in evidence[:2]),
        steps.again(facts),
    )


def _rule(direct: Direct, facts: Facts) -> Ruling | None:
    if ruling := _named(direct, facts, facts.failed_of(*direct.checks)):
        return ruling
    passed = [check for check in direct.checks if facts.outcomes.get(check) == "pass"]
    if passed:
        return RuledOut(name=direct.name, why=f"passed: {', '.join(passed)}")
    return None


def _shown(direct: Direct, finding: Finding) -> Sequence[Evidence]:
    return [
        item
        for item in finding.evidence
        if not direct.words or any(word in item.text for word in direct.words)
    ]


RULES: Sequence[Callable[[Facts], Ruling | None]] = tuple(partial(_rule, one) for one in DIRECT)
