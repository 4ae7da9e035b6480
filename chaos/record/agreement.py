"""Whether `config.json` and `schedule.json` say what was to happen, and say the same.

Without them a run under faults looks like the control, and one without criteria passes by having
nothing to fail. What one of two files says is only believed when the other does not contradict it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from chaos.base.errors import ChaosError
from chaos.record.evidence import Evidence
from chaos.record.rundir import RunDir

_CONFIG, _SCHEDULE = "config.json", "schedule.json"


def content_hash(content: Mapping[str, Any]) -> str:
    """The hash of a schedule as plain data; a hash that it carries is left out."""
    rest = {key: value for key, value in content.items() if key != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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


def contradictions(
    config: Mapping[str, Any], schedule: Mapping[str, Any], damage: str
) -> list[Evidence]:
    """What is wrong with the record of what was to happen; empty when it can be believed.

    `damage` is what `read_schedule` says of the schedule.
    """
    if damage:
        found = [Evidence(_SCHEDULE, f"{_SCHEDULE}: {damage}")]
    else:
        found = [Evidence(_SCHEDULE, text) for text in _disagreements(config, schedule)]
    if not config.get("criteria"):
        found.append(Evidence(_CONFIG, f"{_CONFIG} has no criteria: nothing was asked of the run"))
    return found


def _is_item(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("fault_id"), str)
        and isinstance(item.get("name"), str)
    )


def _disagreements(config: Mapping[str, Any], schedule: Mapping[str, Any]) -> list[str]:
    """Only what stands in both files is compared: `chaos replay --force` may run a schedule that
    this version would draw otherwise.
    """
    asked = _asked(config.get("faults"))
    if asked is None:
        return [f"{_CONFIG} does not say which faults were asked for"]
    items = schedule["items"]
    scheduled = {str(item["name"]) for item in items}
    found = []
    strikes = config.get("strikes")
    missing = asked - scheduled if strikes is None else set()
    if missing:
        found.append(f"{_CONFIG} asks for {_names(missing)}, which {_SCHEDULE} does not schedule")
    if strikes is not None and strikes != len(items):
        found.append(f"{_CONFIG} asks for {strikes} strikes, {_SCHEDULE} has {len(items)}")
    if scheduled - asked:
        extra = _names(scheduled - asked)
        found.append(f"{_SCHEDULE} schedules {extra}, which {_CONFIG} does not ask for")
    seeds = config.get("seed"), schedule.get("seed")
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
