"""The result of triage: causes, excluded causes, undecided causes, and next steps. Only data."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from chaos.checks.finding import Evidence
from chaos.checks.paths_taken import PathTaken
from chaos.record.history import Owner

Name = Literal[
    "disk_exhaustion",
    "queue_corruption",
    "vram_not_freed",
    "memory_leak",
    "socket_leak",
    "descriptor_leak",
    "thread_leak",
    "children_left",
    "temp_files_left",
    "llm_connection_drop",
    "process_died",
    "stall",
    "work_not_done",
    "duplicate_work",
    "request_tampered",
    "log_rewritten",
    "parameters_ignored",
    "wrong_order",
    "trigger_silent",
    "retry_storm",
    "no_lock",
    "bystander_ended",
    "halt_ignored",
    "second_server",
    "hidden_fallback",
    "leak_on_error",
    "answers_made_up",
    "attempts_hidden",
    "ids_repeated",
    "past_the_link",
    "llm_request_refused",
    "answers_cut_short",
    "no_time_limit",
    "stays_slow",
    "busy_idle",
    "llm_unused",
    "llm_not_managed",
    "bad_files_accepted",
    "requests_left",
    "decisions_missing",
    "log_broken",
    "work_fails",
    "files_grow",
    "history_changed",
    "draws_lost",
    "candidates_repeated",
    "telemetry_broken",
    "errors_logged",
    "not_learning",
    "harness_or_infrastructure",
    "unknown",
]

TITLES: dict[Name, str] = {
    "disk_exhaustion": "Disk space exhaustion",
    "queue_corruption": "Queue corruption",
    "vram_not_freed": "VRAM not freed",
    "memory_leak": "Memory leak",
    "socket_leak": "Socket leak",
    "descriptor_leak": "Descriptor leak",
    "thread_leak": "Thread leak",
    "children_left": "Zombie or stray children",
    "temp_files_left": "Temporary files left",
    "llm_connection_drop": "LLM connection drop",
    "process_died": "Process died",
    "stall": "Stall",
    "work_not_done": "Work claimed and not done",
    "duplicate_work": "Work done twice",
    "request_tampered": "Request lost, repeated or exchanged",
    "log_rewritten": "Log lines taken away",
    "parameters_ignored": "Parameters ignored",
    "wrong_order": "Wrong order",
    "trigger_silent": "Trigger silent",
    "retry_storm": "Retry storm",
    "no_lock": "No lock against a second Watcher",
    "bystander_ended": "Bystander ended",
    "leak_on_error": "Leak on the error path",
    "answers_made_up": "Answers made up",
    "attempts_hidden": "Attempts hidden",
    "ids_repeated": "Decision ids repeated",
    "past_the_link": "LLM reached past the link",
    "llm_request_refused": "LLM requests refused",
    "answers_cut_short": "Answers cut short",
    "no_time_limit": "No time limit on LLM calls",
    "stays_slow": "Slow after the faults",
    "busy_idle": "Busy while idle",
    "llm_unused": "LLM not used",
    "llm_not_managed": "LLM server not managed",
    "bad_files_accepted": "Bad files accepted",
    "requests_left": "Requests left",
    "decisions_missing": "Decisions missing",
    "log_broken": "Decision log broken",
    "work_fails": "Work fails",
    "files_grow": "Files grow",
    "history_changed": "Draw history changed",
    "draws_lost": "Draws lost",
    "candidates_repeated": "Candidates repeated",
    "telemetry_broken": "Telemetry broken",
    "errors_logged": "Exceptions logged",
    "not_learning": "Not learning",
    "halt_ignored": "Halt ignored",
    "second_server": "Second LLM server",
    "hidden_fallback": "Hidden fallback",
    "harness_or_infrastructure": "Harness or infrastructure",
    "unknown": "Unknown",
}


class Step(msgspec.Struct, frozen=True):
    """A next step. `command` can be pasted into a shell."""

    text: str
    command: str


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A cause with evidence for it. `explains`: the failed checks that it explains."""

    name: Name
    owner: Owner
    summary: str
    evidence: Sequence[Evidence]
    explains: Sequence[str] = ()
    steps: Sequence[Step] = ()


class RuledOut(msgspec.Struct, frozen=True, kw_only=True):
    """A cause with evidence against it, and the reason."""

    name: Name
    why: str
    evidence: Sequence[Evidence] = ()


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """A cause with evidence neither for nor against it, and which evidence would decide."""

    name: Name
    why: str
    would_decide: str
    steps: Sequence[Step] = ()


Ruling = Cause | RuledOut | Undecided


_EVIDENCE_MAX = 8


def cause(
    name: Name,
    summary: str,
    evidence: Sequence[Evidence],
    explains: Sequence[str],
    *steps: Step | None,
    owner: Owner = "product",
) -> Cause:
    """A cause with at most eight different pieces of evidence, and the steps that are not None."""
    return Cause(
        name=name,
        owner=owner,
        summary=summary,
        evidence=list(dict.fromkeys(evidence))[:_EVIDENCE_MAX],
        explains=explains,
        steps=[step for step in steps if step is not None],
    )


def undecided(name: Name, why: str, would_decide: str, *steps: Step | None) -> Undecided:
    """An undecided cause, with the steps that are not None."""
    present = [step for step in steps if step is not None]
    return Undecided(name=name, why=why, would_decide=would_decide, steps=present)


class Triage(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result. `subject` is the examined folder, `sentence` the result in one line."""

    subject: str
    kind: Literal["run", "workspace"]
    sentence: str
    causes: list[Cause]
    ruled_out: list[RuledOut]
    undecided: list[Undecided]
    paths: list[PathTaken]
    seen: list[str]  # the lines of the last inspection
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The content of `chaos triage --json`."""
        content: dict[str, Any] = msgspec.to_builtins(self)
        return content
