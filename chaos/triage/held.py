"""What the Watcher holds (descriptors, sockets, threads, children, temporary files) and whether it
is ever given back: the facts, from a stored run or from one look at a live process.

A check says that something grows; here each signal is judged by itself, by the same rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chaos.checks.file_descriptors import FileDescriptorsParams
from chaos.checks.finding import Evidence, Finding, Outcome
from chaos.checks.growth.counted import judged_count
from chaos.checks.resource_growth import SIGNALS, ResourceGrowthParams
from chaos.record.open_run import OpenRun

FDS = "watcher.fds"
DESCRIPTORS = (FDS,)
SOCKETS = tuple(key for key in SIGNALS if key.startswith("watcher.sockets_"))
THREADS = ("watcher.threads",)
CHILDREN = ("watcher.zombies", "watcher.children")
TEMP_FILES = ("workspace.temp_files",)

# This part of the limit in use: the next burst of work fails.
_EXHAUSTED_PART = 0.9


@dataclass(frozen=True)
class Held:
    """One signal: `outcome` by the rule for growth, `rise` over the judged span."""

    name: str
    outcome: Outcome
    text: str
    rise: float = 0.0


@dataclass(frozen=True)
class HeldFacts:
    """`signals` by key, those alone that were sampled and judged; `kinds`: the descriptors by
    kind in the last look; `exhausted`: a look at which hardly a descriptor was left, `sockets`
    the part of those in use that were sockets then; `pid` of a Watcher that lives.
    """

    signals: dict[str, Held] = field(default_factory=dict)
    kinds: tuple[Evidence, ...] = ()
    exhausted: Evidence | None = None
    sockets: float = 0.0
    pid: int | None = None

    def of(self, keys: Sequence[str], outcome: Outcome) -> list[tuple[str, Held]]:
        """(key, signal) of those of `keys` that were judged so."""
        found = [(key, self.signals[key]) for key in keys if key in self.signals]
        return [(key, one) for key, one in found if one.outcome == outcome]


def held_in_run(
    run: OpenRun, findings: Sequence[Finding], looks: Sequence[tuple[str, dict[str, Any]]]
) -> HeldFacts:
    """The facts of a judged run. `looks` are its inspections, with where they stand."""
    outcomes = {finding.check: finding.outcome for finding in findings}
    criteria = run.criteria
    signals: dict[str, Held] = {}
    if outcome := outcomes.get("file_descriptors"):
        fds = msgspec.convert(criteria.get("file_descriptors", {}), FileDescriptorsParams)
        signals |= _judged(run, {FDS: "descriptors"}, outcome, fds.tolerance)
    if outcome := outcomes.get("resource_growth"):
        others = msgspec.convert(criteria.get("resource_growth", {}), ResourceGrowthParams)
        signals |= _judged(run, SIGNALS, outcome, others.tolerance)
    kinds = [
        Evidence(ref, f"descriptors by kind ({look.get('why', '?')}): {text}")
        for ref, look in looks[-1:]
        for process in watchers(look)
        if (text := _kinds(process))
    ]
    return HeldFacts(signals=signals, kinds=tuple(kinds))


def _judged(
    run: OpenRun, names: dict[str, str], outcome: Outcome, tolerance: float
) -> dict[str, Held]:
    """Each signal that was sampled. Where the whole passed, so did each: no need to ask again."""
    found: dict[str, Held] = {}
    for key, name in names.items():
        if not run.sampled(key):
            continue
        if outcome == "pass":
            found[key] = Held(name, "pass", f"{name} do not grow")
        elif (one := judged_count(run, key, name, tolerance)) is not None:
            found[key] = Held(name, one.outcome, one.text, one.rise)
    return found


def held_now(snapshot: dict[str, Any]) -> HeldFacts:
    """The facts of one look: no growth, but how near the limit a live Watcher is."""
    for process in watchers(snapshot):
        kinds, limit = process.get("descriptors"), process.get("descriptor_limit")
        if not isinstance(kinds, dict) or not kinds:
            continue
        count = sum(kinds.values())
        told = Evidence(".", f"descriptors of process {process.get('pid')}: {_kinds(process)}")
        exhausted = None
        if isinstance(limit, int) and count >= limit * _EXHAUSTED_PART:
            exhausted = Evidence(".", f"{count} of {limit} descriptors are in use")
        sockets = kinds.get("socket", 0) / count
        return HeldFacts({}, (told,), exhausted, sockets, process.get("pid"))
    return HeldFacts()


def watchers(look: dict[str, Any]) -> list[dict[str, Any]]:
    """The Watcher's processes in a look."""
    found = look.get("processes")
    every = found if isinstance(found, list) else []
    return [one for one in every if isinstance(one, dict) and one.get("role") == "watcher"]


def _kinds(process: dict[str, Any]) -> str:
    kinds, states = process.get("descriptors"), process.get("sockets")
    if not isinstance(kinds, dict) or not kinds:
        return ""
    text = ", ".join(f"{count} {name}" for name, count in kinds.items())
    if isinstance(states, dict) and states:
        text += f"; sockets: {', '.join(f'{count} {name}' for name, count in states.items())}"
    return text
