"""The two plans of a pair: the same soak, faults, seed and schedule, on two targets."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from chaos.base.errors import UsageError
from chaos.base.shipped import IMAGES
from chaos.compare.revision import names_revision, pinned, unpacked
from chaos.compare.state import SIDES, Asked, CompareDir, Side
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule, draw
from chaos.runner.resolve import Request, resolve
from chaos.stack.programs import programs_sha256

_PLACES: dict[Side, str] = {"base": "BASE", "candidate": "CANDIDATE"}


@dataclass(frozen=True)
class Plans:
    """Both plans of one pair, and the schedule that they share."""

    of: dict[Side, Plan]
    schedule: Schedule


def with_pinned_revisions(asked: Asked) -> Asked:
    """`asked` with each git revision as a whole hash."""
    found: dict[str, Any] = {}
    for side in SIDES:
        name = getattr(asked, side)
        if names_revision(name):
            found[side] = pinned(name, _PLACES[side])
    return msgspec.structs.replace(asked, **found)


def targets_of(asked: Asked, folder: CompareDir) -> dict[Side, str]:
    """The `--target` of each side; unpacks the revisions below `folder`."""
    found: dict[Side, str] = {}
    for side in SIDES:
        name: str = getattr(asked, side)
        if names_revision(name):
            name = str(unpacked(name, folder.path / "revisions", _PLACES[side]))
        found[side] = name
    return found


def plans_of(asked: Asked, targets: dict[Side, str], number: int) -> Plans:
    """The plans of pair `number`. Raises `UsageError` unless both have one schedule."""
    plans: dict[Side, Plan] = {}
    for side in SIDES:
        request = Request(
            soak=asked.soak,
            profile=asked.profile,
            target=targets[side],
            faults=asked.faults,
            seed=asked.pair_seed(number),
            overrides=asked.overrides,
            backend=asked.backend,
        )
        try:
            plans[side] = resolve(request)
        except UsageError as error:
            error.place = _PLACES[side] if error.place == "--target" else error.place
            raise
    base, candidate = (draw(plans[side]) for side in SIDES)
    if base.hash != candidate.hash:
        raise UsageError(
            f"the schedules differ: {base.hash} for the base, {candidate.hash} for the candidate",
            place="CANDIDATE",
            next_step="the two targets need other times (watcher, work, poll_interval_s): give "
            "both the same, or fix the lengths with --set and hold=... in --fault",
        )
    return Plans(plans, base)


def digests_of(plans: Plans) -> dict[Side, str]:
    """SHA-256 of what is compared: the target with the programs that it names."""
    found: dict[Side, str] = {}
    for side, plan in plans.of.items():
        text = json.dumps(msgspec.to_builtins(plan.target), sort_keys=True)
        text += programs_sha256(plan.target, IMAGES)
        found[side] = hashlib.sha256(text.encode()).hexdigest()
    return found
