"""From facts to the answer: the causes found, what they do not explain, and what stays open."""

from collections.abc import Sequence

import msgspec

from chaos.checks.finding import Evidence, Finding
from chaos.checks.paths_taken import PathTaken
from chaos.triage import steps
from chaos.triage.facts import Facts
from chaos.triage.result import TITLES, Cause, Name, RuledOut, Triage, Undecided
from chaos.triage.rules import RULES

_DOUBTFUL = ("inconclusive", "unverified")
# What a cause brings about by itself: then the effect is no cause of its own.
_BRINGS_ABOUT: dict[Name, tuple[Name, ...]] = {
    "disk_exhaustion": ("stall",),
    "queue_corruption": ("stall",),
    "llm_connection_drop": ("stall",),
    "process_died": ("stall",),
    "harness_or_infrastructure": ("stall",),
}


def triage(
    facts: Facts,
    *,
    paths: Sequence[PathTaken] = (),
    seen: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Triage:
    """Apply every rule to `facts`. The same facts give the same answer."""
    causes: list[Cause] = []
    ruled_out: list[RuledOut] = []
    undecided: list[Undecided] = []
    for name, rule in RULES:
        ruling = rule(facts)
        by = next((one for one in causes if name in _BRINGS_ABOUT.get(one.name, ())), None)
        if isinstance(ruling, Cause) and by is not None:
            _take_over(causes, by, ruling)
            why = f"brought about by: {TITLES[by.name]}"
            ruled_out.append(RuledOut(name=name, why=why, evidence=ruling.evidence[:2]))
        elif isinstance(ruling, Cause):
            causes.append(ruling)
        elif isinstance(ruling, RuledOut):
            ruled_out.append(ruling)
        else:
            undecided.append(ruling)
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


def _take_over(causes: list[Cause], by: Cause, effect: Cause) -> None:
    """What the effect explains, its cause explains."""
    explains = list(dict.fromkeys([*by.explains, *effect.explains]))
    causes[causes.index(by)] = msgspec.structs.replace(by, explains=explains)


def _unknown(facts: Facts, causes: list[Cause], undecided: list[Undecided]) -> Cause | None:
    """Failed findings that no cause explains."""
    explained = {check for cause in causes for check in cause.explains}
    left = [finding for finding in facts.failed if finding.check not in explained]
    if not left:
        return None
    told: list[Evidence] = [item for finding in left for item in finding.evidence[:3]]
    would = [f"{TITLES[one.name]}: {one.would_decide}" for one in undecided if _near(one, left)]
    decide = f" (what would decide: {'; '.join(would)})" if would else ""
    said = "; ".join(f"{finding.title or finding.check}: {finding.summary}" for finding in left)
    return Cause(
        name="unknown",
        owner="product",
        summary=f"no named cause explains: {said}{decide}",
        evidence=told[:8],
        explains=[finding.check for finding in left],
        steps=steps.present(
            *(steps.at(facts, finding.evidence[0]) for finding in left[:3] if finding.evidence),
            steps.looked_at(facts),
            steps.again(facts),
        ),
    )


def _near(one: Undecided, left: Sequence[Finding]) -> bool:
    """Whether an open cause could explain any of what is left."""
    about: dict[str, tuple[str, ...]] = {
        "llm_connection_drop": ("heuristic_fallbacks", "recovery_time", "llm_slots"),
        "disk_exhaustion": ("disk_growth", "log_growth", "errors", "telemetry"),
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
    return any(finding.check in about.get(one.name, ()) for finding in left)


def _sentence(facts: Facts, causes: Sequence[Cause], undecided: Sequence[Undecided]) -> str:
    if causes:
        named = [f"{TITLES[cause.name]} ({cause.owner})" for cause in causes]
        return f"{' and '.join(named)}: {causes[0].summary}"
    if facts.is_run:
        doubtful = [c for c, outcome in facts.outcomes.items() if outcome in _DOUBTFUL]
        open_ = f"; open: {', '.join(doubtful)}" if doubtful else ""
        return f"nothing failed that has to be explained{open_}"
    return f"unknown: nothing here names a cause; open: {_titles(undecided)}"


def _titles(undecided: Sequence[Undecided]) -> str:
    return ", ".join(TITLES[one.name] for one in undecided) or "nothing"
