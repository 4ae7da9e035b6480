"""From facts to the result: the causes, the findings that they do not explain, and what is open."""

from collections.abc import Sequence

import msgspec

from chaos.checks.paths_taken import PathTaken
from chaos.triage import steps
from chaos.triage.direct_rules import DIRECT, symptom
from chaos.triage.facts import Facts
from chaos.triage.result import TITLES, Cause, Name, RuledOut, Triage, Undecided, cause
from chaos.triage.rules import RULES

_DOUBTFUL = ("inconclusive", "unverified")
# Each of these causes a stall. Then the stall is an effect, and not a cause of its own.
_CAUSES_STALL: tuple[Name, ...] = (
    "disk_exhaustion",
    "queue_corruption",
    "llm_connection_drop",
    "process_died",
    "bystander_ended",
    "no_lock",
)
_SEEN = {direct.name for direct in DIRECT}
# The checks whose failures an undecided cause could explain.
_COULD_EXPLAIN: dict[Name, tuple[str, ...]] = {
    "llm_connection_drop": ("heuristic_fallbacks", "recovery_time", "llm_slots"),
    "disk_exhaustion": ("errors", "telemetry"),
    "memory_leak": ("memory_growth",),
    "socket_leak": ("resource_growth", "file_descriptors"),
    "descriptor_leak": ("file_descriptors",),
    "thread_leak": ("resource_growth",),
    "children_left": ("resource_growth",),
    "temp_files_left": ("resource_growth",),
    "vram_not_freed": ("gpu_memory", "llm_lifecycle"),
    "process_died": ("watcher_alive",),
    "stall": ("stall", "completed_cycles", "request_queue"),
}


def triage(
    facts: Facts,
    *,
    paths: Sequence[PathTaken] = (),
    seen: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Triage:
    """Apply every rule to `facts`. The same facts give the same result."""
    causes: list[Cause] = []
    ruled_out: list[RuledOut] = []
    undecided: list[Undecided] = []
    for rule in RULES:
        ruling = rule(facts)
        by = next((c for c in causes if c.name in _CAUSES_STALL), None)
        if isinstance(ruling, Cause) and ruling.name == "stall" and by is not None:
            explains = list(dict.fromkeys([*by.explains, *ruling.explains]))
            causes[causes.index(by)] = msgspec.structs.replace(by, explains=explains)
            why = f"caused by: {TITLES[by.name]}"
            ruled_out.append(RuledOut(name="stall", why=why, evidence=ruling.evidence[:2]))
        elif isinstance(ruling, Cause) and (of := _effect_of(ruling, causes)) is not None:
            why = f"an effect of: {TITLES[of.name]}"
            ruled_out.append(RuledOut(name=ruling.name, why=why, evidence=ruling.evidence[:2]))
        elif isinstance(ruling, Cause):
            causes.append(ruling)
        elif isinstance(ruling, RuledOut):
            ruled_out.append(ruling)
        elif ruling is not None:
            undecided.append(ruling)
    doubtful = {check for open_ in undecided for check in _COULD_EXPLAIN.get(open_.name, ())}
    while shown := symptom(facts, {c for found in causes for c in found.explains}, doubtful):
        causes.append(shown)
    unknown = _unknown(facts, causes, undecided)
    if unknown is not None:
        causes.append(unknown)
    return Triage(
        subject=str(facts.place),
        kind="run" if facts.is_run else "workspace",
        sentence=_sentence(facts, causes, undecided),
        causes=causes,
        ruled_out=ruled_out,
        undecided=undecided,
        paths=list(paths),
        seen=list(seen),
        notes=list(notes),
    )


def _effect_of(ruling: Cause, causes: list[Cause]) -> Cause | None:
    """The cause, seen directly, that explains every failed check of this one; None without one."""
    failed = set(ruling.explains)
    seen = [found for found in causes if found.name in _SEEN]
    return next((found for found in seen if failed and failed <= set(found.explains)), None)


def _unknown(facts: Facts, causes: list[Cause], undecided: list[Undecided]) -> Cause | None:
    """A cause for the failed findings that no named cause explains; None if there are none."""
    explained = {check for found in causes for check in found.explains}
    left = [finding for finding in facts.failed if finding.check not in explained]
    if not left:
        return None
    checks = {finding.check for finding in left}
    would = [
        f"{TITLES[ruling.name]}: {ruling.would_decide}"
        for ruling in undecided
        if checks.intersection(_COULD_EXPLAIN.get(ruling.name, ()))
    ]
    decide = f" (what would decide: {'; '.join(would)})" if would else ""
    texts = "; ".join(f"{finding.title or finding.check}: {finding.summary}" for finding in left)
    return cause(
        "unknown",
        f"no named cause explains: {texts}{decide}",
        [item for finding in left for item in finding.evidence[:3]],
        [finding.check for finding in left],
        *(steps.at(facts, finding.evidence[0]) for finding in left[:3] if finding.evidence),
        steps.inspected(facts),
        steps.again(facts),
    )


def _sentence(facts: Facts, causes: Sequence[Cause], undecided: Sequence[Undecided]) -> str:
    if causes:
        named = [f"{TITLES[found.name]} ({found.owner})" for found in causes]
        return f"{' and '.join(named)}: {causes[0].summary}"
    if facts.is_run:
        doubtful = [c for c, outcome in facts.outcomes.items() if outcome in _DOUBTFUL]
        open_ = f"; open: {', '.join(doubtful)}" if doubtful else ""
        return f"nothing failed, so there is nothing to explain{open_}"
    titles = ", ".join(TITLES[ruling.name] for ruling in undecided) or "nothing"
    return f"unknown: nothing here names a cause; open: {titles}"
