"""What faults put into the queue themselves, and what became of it: exactly, by name.

A planted bad file may be set aside and must not be worked off; a planted good one counts like any
submitted request; of files that are one request, one alone may take effect. Shared by the checks of
the queue. What was planted stands in the record of each fault (`FaultWindow.planted`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from chaos.checks.collection import left_out
from chaos.checks.decision import text_hash
from chaos.checks.finding import Evidence
from chaos.checks.run_view import FaultWindow, RunView
from chaos.record.history import FaultState

if TYPE_CHECKING:
    from chaos.checks.hash_sets import Mask

# A good request that a fault has submitted while it recovered: in the evidence of that.
_AFTER = "submitted_after"


class PlantedFile(msgspec.Struct, frozen=True):
    """One planted file. `ref` is where the record says so; `effects`: how often it was worked."""

    name: str
    end: str
    fault_id: str
    ref: str
    places: tuple[str, ...]  # folders in which it lay after the run
    effects: int

    def evidence(self, text: str) -> Evidence:
        """What is wrong with it."""
        return Evidence(self.ref, f"{self.name}, planted by {self.fault_id}, {text}")


def planted_files(view: RunView) -> list[PlantedFile]:
    """All files of faults that were injected: of others nobody knows whether they were planted."""
    windows = [w for w in view.faults if "injected" in w.states and w.planted]
    if not windows:
        return []
    effects = _effects(view, [name for w in windows for name in w.planted])
    irregular = _irregular(view)
    return [
        PlantedFile(
            name=name,
            end=end,
            fault_id=window.fault_id,
            ref=window.ref("injected"),
            places=_places(view, name, irregular),
            effects=effects[text_hash(name)],
        )
        for window in windows
        for name, end in window.planted.items()
    ]


def good_requests(view: RunView) -> dict[str, Evidence]:
    """Requests of faults that must be worked off like any other -> who says so."""
    found = {}
    for window in view.faults:
        if "injected" not in window.states:
            continue
        for name, end in window.planted.items():
            if end in ("archived", "once"):
                text = f"{name} planted by {window.fault_id}"
                found[name] = Evidence(window.ref("injected"), text)
        state, name = _submitted_after(window)
        if name:
            text = f"{name} submitted after {window.fault_id}"
            found[name] = Evidence(window.ref(state), text)
    return found


def _submitted_after(window: FaultWindow) -> tuple[FaultState, str]:
    """(the state whose record says so, the request that it submitted itself, "" for none)."""
    states: tuple[FaultState, ...] = ("recovered", "recovery_unproven")
    told = [(state, str(window.evidence(state).get(_AFTER) or "")) for state in states]
    return next((one for one in reversed(told) if one[1]), told[0])


def asked_by_faults(view: RunView) -> Mask:
    """The decisions on requests that faults have put into the queue, whatever became of them.

    A fault may put a request of the Watcher's own there once more, under the same name
    (`queue_duplicate_file`): what was decided before the fault was armed is the Watcher's.
    """
    from chaos.checks.hash_sets import among

    table, hashes_of = view.files.decisions, view.files.hashes_of
    after = [_submitted_after(window)[1] for window in view.faults]
    found: Mask = among(table.request, hashes_of(after))
    for window in view.faults:
        armed_s = window.at_s("armed")
        if armed_s is not None and window.planted:
            named = among(table.request, hashes_of(window.planted))
            found |= named & ~(table.end_s < armed_s)
    return found


def set_aside_unplanned(view: RunView) -> list[str]:
    """Files in quarantine that no fault has put into the queue as bad ones."""
    bad = _bad_names(view)
    stems = [name.removesuffix(".json") for name in bad]
    return [
        name
        for name in view.files.quarantined
        if name not in bad and not any(stem in name for stem in stems)
    ]


def one_request(view: RunView) -> set[str]:
    """Names of planted files that may be in two places: of them all, one takes effect."""
    return {name for w in view.faults for name, end in w.planted.items() if end == "once"}


def wrongly_worked(files: Iterable[PlantedFile]) -> list[Evidence]:
    """Bad files that were worked off, and single requests that took effect more than once."""
    files = list(files)
    wrong = [
        one.evidence("is no good request, and was worked off")
        for one in files
        if one.end in ("quarantined", "gone") and one.effects
    ]
    for group in _groups(files):
        count = sum(one.effects for one in group)
        if count > 1:
            names = " and ".join(one.name for one in group)
            wrong.append(group[0].evidence(f"is one request ({names}), and took effect {count} x"))
    return wrong


def left_behind(files: Iterable[PlantedFile]) -> list[Evidence]:
    """What still waits (other than plain files, which are seen as such), what has vanished, and
    single requests that never took effect.
    """
    files = list(files)
    wrong = [
        one.evidence("is no plain file, and still waits")
        for one in files
        if "irregular" in one.places
    ]
    wrong += [
        one.evidence("is nowhere") for one in files if one.end == "quarantined" and not one.places
    ]
    wrong += [
        group[0].evidence("never took effect")
        for group in _groups(files)
        if not sum(one.effects for one in group)
    ]
    return wrong


def _groups(files: Iterable[PlantedFile]) -> list[list[PlantedFile]]:
    found: dict[str, list[PlantedFile]] = {}
    for one in files:
        if one.end == "once":
            found.setdefault(one.fault_id, []).append(one)
    return list(found.values())


def _bad_names(view: RunView) -> set[str]:
    return {name for w in view.faults for name, end in w.planted.items() if end != "archived"}


def _effects(view: RunView, names: list[str]) -> Counter[int]:
    from chaos.checks.hash_sets import among

    table = view.files.decisions
    worked = table.request[table.dispatched]
    return Counter(worked[among(worked, view.files.hashes_of(names))].tolist())


def _irregular(view: RunView) -> set[str]:
    """Paths in the workspace that were no plain files, and so were not collected."""
    return {entry.rpartition(": ")[0] for entry in left_out(view)}


def _places(view: RunView, name: str, irregular: set[str]) -> tuple[str, ...]:
    """Where it lies: pending, claimed, archived, quarantined; beside it "irregular" for something
    other than a plain file that waits.
    """
    queue = view.target.queue
    patterns = {
        "pending": queue.pending,
        "claimed": queue.claimed,
        "archived": queue.archived,
        "quarantined": queue.quarantined,
    }
    found = []
    for place, pattern in patterns.items():
        path = f"{pattern.rpartition('/')[0]}/{name}"
        odd = path in irregular or (view.run.artefacts / path).is_dir()
        if odd or (view.run.artefacts / path).is_file():
            found.append(place)
        if odd and place in ("pending", "claimed"):
            found.append("irregular")
    stem = name.removesuffix(".json")
    if "quarantined" not in found and any(stem in other for other in view.files.quarantined):
        found.append("quarantined")
    return tuple(found)


def felt(view: RunView, window: FaultWindow) -> Evidence | None:
    """That the Watcher met what this fault planted: set aside, or worked off.

    Where only the fault can tell (what it planted was whole in the end) it says so itself:
    `not_met` with the effect, and `met_later` with the recovery if it was met after all.
    """
    if window.evidence("effect_proven").get("not_met"):
        later = window.evidence("recovered").get("met_later")
        return Evidence(window.ref("recovered"), str(later)) if later else None
    for one in planted_files(view):
        if one.fault_id != window.fault_id:
            continue
        if one.effects:
            return Evidence(one.ref, f"{one.name} was planted, and worked off")
        if "quarantined" in one.places:
            folder = view.target.queue.quarantined.rpartition("/")[0]
            return Evidence(f"artefacts/{folder}/{one.name}", "planted, and set aside")
    return None
