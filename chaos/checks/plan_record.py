"""Whether `config.json` and `schedule.json` say what was to happen, and say the same.

Without them a run under faults looks like the control, and one without criteria passes by having
nothing to fail. What one of two files says is only believed when the other does not contradict it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.base.errors import ChaosError
from chaos.checks.finding import Evidence
from chaos.plan.schedule import content_hash
from chaos.record.rundir import RunDir

if TYPE_CHECKING:  # the view is made with what stands here
    from chaos.checks.run_view import RunView

_CONFIG, _SCHEDULE = "config.json", "schedule.json"


def read_schedule(run: RunDir) -> tuple[dict[str, Any], str]:
    """The stored schedule with those of its items that can be read, and what is wrong with it,
    "" when nothing is. Never raises: the rest of the run is still worth a look.
    """
    try:
        content = run.read_json(run.schedule)
    except ChaosError as error:
        return {}, error.message
    except (OSError, RecursionError) as error:
        return {}, f"cannot be read: {type(error).__name__}"
    items = content.get("items")
    if not isinstance(items, list):
        return {**content, "items": []}, "not a schedule: it has no list of items"
    whole = [item for item in items if _is_item(item)]
    if len(whole) < len(items):
        return {**content, "items": whole}, "not a schedule: an item has no fault_id and name"
    stored, computed = content.get("hash"), content_hash(content)
    if stored != computed:
        return content, f"the hash {stored} does not fit the content ({computed}): it was changed"
    return content, ""


def contradictions(view: RunView) -> list[Evidence]:
    """What is wrong with the record of what was to happen; empty when it can be believed."""
    found = []
    if view.schedule_damage:
        found.append(Evidence(_SCHEDULE, f"{_SCHEDULE}: {view.schedule_damage}"))
    else:
        found += [Evidence(_SCHEDULE, text) for text in _disagreements(view)]
    if not view.criteria:
        found.append(Evidence(_CONFIG, f"{_CONFIG} has no criteria: nothing was asked of the run"))
    return found


def _is_item(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("fault_id"), str)
        and isinstance(item.get("name"), str)
    )


def _disagreements(view: RunView) -> list[str]:
    """A stored schedule that this version would draw otherwise is none (`chaos replay --force`):
    compared is only what every version puts into both files.
    """
    asked = _asked(view.config.get("faults"))
    if asked is None:
        return [f"{_CONFIG} does not say which faults were asked for"]
    items = view.schedule["items"]
    scheduled = {str(item["name"]) for item in items}
    found = []
    strikes = view.config.get("strikes")
    missing = asked - scheduled if strikes is None else set()
    if missing:
        found.append(f"{_CONFIG} asks for {_names(missing)}, which {_SCHEDULE} does not schedule")
    if strikes is not None and strikes != len(items):
        found.append(f"{_CONFIG} asks for {strikes} strikes, {_SCHEDULE} has {len(items)}")
    if scheduled - asked:
        extra = _names(scheduled - asked)
        found.append(f"{_SCHEDULE} schedules {extra}, which {_CONFIG} does not ask for")
    seeds = view.config.get("seed"), view.schedule.get("seed")
    if seeds[0] != seeds[1]:
        found.append(f"{_CONFIG} is of seed {seeds[0]}, {_SCHEDULE} of seed {seeds[1]}")
    return found


def _asked(faults: object) -> set[str] | None:
    """Names of the faults that were asked for, without the control; None where it is not said."""
    if not isinstance(faults, list) or not all(isinstance(fault, dict) for fault in faults):
        return None
    return {str(fault.get("name")) for fault in faults if not fault.get("control")}


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))
