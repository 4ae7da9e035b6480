"""What faults put into the queue themselves, and what became of it: exactly, by name.

A planted bad file may be set aside and must not be worked off; a planted good one counts like any
submitted request; of files that are one request, one alone may take effect. Shared by the checks of
the queue. The table `planted` holds what was planted.
"""

from collections.abc import Iterable

import msgspec

from chaos.checks.finding import Evidence
from chaos.record.collection import left_out
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun

# Lines of decisions on requests that faults have put into the queue, whatever became of them. A
# fault may put a request of the daemon's own there once more, under the same name: what was decided
# before the fault was armed is the daemon's.
ASKED_BY_FAULTS = """
select d.line from decisions d join planted p on p.name = d.request
where p.armed_s is not null and not coalesce(d.end_s < p.armed_s, false)
union select d.line from decisions d join emitted e on e.name = d.request
where e.source = 'fault' and e.text like '% submitted after %'
"""
# Files in quarantine that no fault has put into the queue as bad ones. $suffix: of all requests.
SET_ASIDE = """
select path, name from files f where place = 'quarantined' and not exists (
    select 1 from planted p where p.must <> 'archived'
    and contains(f.name, if(ends_with(p.name, $suffix),
        left(p.name, length(p.name) - length($suffix)), p.name)))
order by name
"""


class PlantedFile(msgspec.Struct, frozen=True):
    """One planted file. `ref` is where the record says so; `effects`: how often it was worked."""

    name: str
    must: str
    fault_id: str
    ref: str
    places: tuple[str, ...]  # folders in which it lay after the run
    effects: int

    def evidence(self, text: str) -> Evidence:
        """What is wrong with it."""
        return Evidence(self.ref, f"{self.name}, planted by {self.fault_id}, {text}")


def planted_files(run: OpenRun) -> list[PlantedFile]:
    """All files of faults that were injected: of others nobody knows whether they were planted."""
    return run.once("planted files", _planted_files)


def _planted_files(run: OpenRun) -> list[PlantedFile]:
    windows = [window for window in run.injected_faults if window.planted]
    if not windows:
        return []
    effects: dict[str, int] = dict(
        run.sql(
            "select request, count(*) from decisions where dispatch is not null "
            "and request in (select name from planted) group by 1"
        )
    )
    return [
        PlantedFile(
            name=name,
            must=must,
            fault_id=window.fault_id,
            ref=window.ref("injected"),
            places=_places(run, name),
            effects=effects.get(name, 0),
        )
        for window in windows
        for name, must in window.planted.items()
    ]


def _places(run: OpenRun, name: str) -> tuple[str, ...]:
    """Where it lies: pending, claimed, archived, quarantined; beside it "irregular" for something
    other than a plain file that waits.
    """
    queue = run.target.work
    known = run.sql("select place from files where name = $name", {"name": name})
    irregular = {entry.rpartition(": ")[0] for entry in left_out(run)}
    places = []
    for place, pattern in queue.places().items():
        path = f"{pattern.rpartition('/')[0]}/{name}"
        odd = path in irregular or (run.files / path).is_dir()
        if odd or (run.files / path).is_file() or (place,) in known:
            places.append(place)
        if odd and place in ("pending", "claimed"):
            places.append("irregular")
    stem = queue.stem(name)
    aside = "select count(*) from files where place = 'quarantined' and contains(name, $stem)"
    if "quarantined" not in places and run.one(aside, {"stem": stem}):
        places.append("quarantined")
    return tuple(places)


def wrongly_worked(files: Iterable[PlantedFile]) -> list[Evidence]:
    """Bad files that were worked off, and single requests that took effect more than once."""
    files = list(files)
    wrong = [
        one.evidence("is no good request, and was worked off")
        for one in files
        if one.must in ("quarantined", "gone") and one.effects
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
        one.evidence("is nowhere") for one in files if one.must == "quarantined" and not one.places
    ]
    wrong += [
        group[0].evidence("never took effect")
        for group in _groups(files)
        if not sum(one.effects for one in group)
    ]
    return wrong


def _groups(files: Iterable[PlantedFile]) -> list[list[PlantedFile]]:
    groups: dict[str, list[PlantedFile]] = {}
    for one in files:
        if one.must == "once":
            groups.setdefault(one.fault_id, []).append(one)
    return list(groups.values())


def met(run: OpenRun, window: FaultWindow) -> Evidence | None:
    """That the daemon met what this fault planted: set aside, or worked off.

    Where only the fault can tell (what it planted was whole in the end) it says so itself:
    `not_met` with the effect, and `met_later` with the recovery if it was met after all.
    """
    if window.evidence("effect_proven").get("not_met"):
        later = window.evidence("recovered").get("met_later")
        return Evidence(window.ref("recovered"), str(later)) if later else None
    for one in planted_files(run):
        if one.fault_id != window.fault_id:
            continue
        if one.effects:
            return Evidence(one.ref, f"{one.name} was planted, and worked off")
        if "quarantined" in one.places:
            folder = run.target.work.set_aside.rpartition("/")[0]
            return Evidence(f"artefacts/{folder}/{one.name}", "planted, and set aside")
    return None
