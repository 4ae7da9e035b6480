"""The resources that the Watcher holds: descriptors, sockets, threads, children, temporary files.

The facts come from a stored run or from a snapshot of a live process. A check says that any of its
signals grows; here each signal is judged by itself, by the same rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chaos.checks.file_descriptors import FileDescriptorsParams
from chaos.checks.finding import Evidence, Finding, Outcome
from chaos.checks.growth.counted import judged_count
from chaos.checks.growth.programs import services_of
from chaos.checks.resource_growth import SIGNALS, ResourceGrowthParams, watched
from chaos.record.open_run import OpenRun
from chaos.triage.snapshot import counts, dicts

FDS = "watcher.fds"
DESCRIPTORS = (FDS,)
SOCKETS = tuple(key for key in SIGNALS if key.startswith("watcher.sockets_"))
THREADS = ("watcher.threads",)
CHILDREN = ("watcher.zombies", "watcher.children")
TEMP_FILES = ("workspace.temp_files",)

# Descriptors count as exhausted from this part of the limit on.
_EXHAUSTED_PART = 0.9


@dataclass(frozen=True)
class Held:
    """One judged signal. `rise` is over the judged span."""

    name: str
    outcome: Outcome
    text: str
    rise: float = 0.0


@dataclass(frozen=True)
class HeldFacts:
    """The facts. `signals`: those that were sampled and judged, by key.

    `kinds`: the descriptors by kind in the last inspection. `exhausted`: evidence that hardly any
    descriptor was free; then `sockets` is the part of sockets among those in use, from 0 to 1.
    `pid`: that of a live Watcher.
    """

    signals: dict[str, Held] = field(default_factory=dict)
    kinds: tuple[Evidence, ...] = ()
    exhausted: Evidence | None = None
    sockets: float = 0.0
    pid: int | None = None

    def of(self, keys: Sequence[str], outcome: Outcome) -> list[tuple[str, Held]]:
        """(key, signal) of those of `keys`, the Watcher's or a service's, with this outcome."""
        return [
            (key, signal)
            for key, signal in self.signals.items()
            if signal.outcome == outcome
            and (key in keys or f"watcher.{key.partition('.')[2]}" in keys)
        ]


def held_in_run(
    run: OpenRun, findings: Sequence[Finding], inspections: Sequence[tuple[str, dict[str, Any]]]
) -> HeldFacts:
    """The facts of a judged run. `inspections`: (reference, snapshot) of each."""
    outcomes = {finding.check: finding.outcome for finding in findings}
    criteria = run.criteria
    signals: dict[str, Held] = {}
    if outcome := outcomes.get("file_descriptors"):
        fds = msgspec.convert(criteria.get("file_descriptors", {}), FileDescriptorsParams)
        names = {f"{service}.fds": f"descriptors of {service}" for service in services_of(run)}
        signals |= _judged(run, {FDS: "descriptors", **names}, outcome, fds.tolerance)
    if outcome := outcomes.get("resource_growth"):
        others = msgspec.convert(criteria.get("resource_growth", {}), ResourceGrowthParams)
        signals |= _judged(run, watched(run), outcome, others.tolerance)
    kinds = [
        Evidence(ref, f"descriptors by kind ({snapshot.get('why', '?')}): {text}")
        for ref, snapshot in inspections[-1:]
        for process in watchers(snapshot)
        if (text := _kinds(process))
    ]
    return HeldFacts(signals=signals, kinds=tuple(kinds))


def _judged(
    run: OpenRun, names: dict[str, str], outcome: Outcome, tolerance: float
) -> dict[str, Held]:
    """Each sampled signal. If the check passed, each signal of it has passed."""
    signals: dict[str, Held] = {}
    for key, name in names.items():
        if not run.sampled(key):
            continue
        if outcome == "pass":
            signals[key] = Held(name, "pass", f"{name} do not grow")
        elif (count := judged_count(run, key, name, tolerance)) is not None:
            signals[key] = Held(name, count.outcome, count.text, count.rise)
    return signals


def held_now(snapshot: dict[str, Any]) -> HeldFacts:
    """The facts of one snapshot: no growth, but how near a live Watcher is to its limit."""
    for process in watchers(snapshot):
        kinds, limit = process.get("descriptors"), process.get("descriptor_limit")
        if not isinstance(kinds, dict) or not kinds:
            continue
        count = sum(kinds.values())
        by_kind = Evidence(".", f"descriptors of process {process.get('pid')}: {_kinds(process)}")
        exhausted = None
        if isinstance(limit, int) and count >= limit * _EXHAUSTED_PART:
            exhausted = Evidence(".", f"{count} of {limit} descriptors are in use")
        sockets = kinds.get("socket", 0) / count
        return HeldFacts({}, (by_kind,), exhausted, sockets, process.get("pid"))
    return HeldFacts()


def watchers(snapshot: dict[str, Any]) -> list[dict[str, Any]]:
    """The Watcher's processes in a snapshot."""
    return [
        process for process in dicts(snapshot.get("processes")) if process.get("role") == "watcher"
    ]


def _kinds(process: dict[str, Any]) -> str:
    kinds, states = counts(process.get("descriptors")), counts(process.get("sockets"))
    return f"{kinds}; sockets: {states}" if kinds and states else kinds
