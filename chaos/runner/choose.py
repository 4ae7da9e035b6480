"""Turn `--fault` and `--faults` into the faults of a plan. Starts nothing.

`--fault NAME:KEY=VALUE` names one kind with its parameters. `--faults` names many kinds: names,
groups or `all`, comma-separated; `-NAME` leaves a name or group out.
"""

from collections.abc import Mapping, Sequence

from chaos.base.errors import UsageError, unknown_name
from chaos.faults.base import Fault
from chaos.faults.params import Value
from chaos.faults.registry import fault_kind, fault_kinds
from chaos.plan.plan import FaultPlan
from chaos.runner.options import CONTROL, merge_params, split_fault

ALL = "all"


def chosen_faults(
    single: Sequence[str],
    pools: Sequence[str],
    defaults: Mapping[str, Mapping[str, Value]],
    *,
    defaults_place: str,
    hold_min_s: float = 0.0,
) -> tuple[FaultPlan, ...]:
    """The faults of `single` (--fault) in their order, then those of `pools` (--faults) by name.

    `defaults`: the profile's parameters by kind. `hold_min_s`: a fault holds at least so long,
    unless its `hold` was given. Raises `UsageError` for an unknown name.
    """
    plans = [_fault_plan(text, defaults, defaults_place, hold_min_s) for text in single]
    named = {plan.name for plan in plans}
    plans += [
        _fault_plan(name, defaults, defaults_place, hold_min_s)
        for name in pool_names(pools)
        if name not in named
    ]
    if len(plans) > 1 and any(plan.control for plan in plans):
        raise UsageError(
            "none and another fault exclude each other",
            place="--fault",
            next_step="give --fault none alone for the control run",
        )
    return tuple(plans)


def pool_names(pools: Sequence[str]) -> list[str]:
    """The kinds that `--faults` names, sorted."""
    words = [word.strip() for text in pools for word in text.split(",")]
    if not words:
        return []
    kinds = fault_kinds()
    chosen: set[str] = set()
    for word in words:
        if not word.startswith("-"):
            chosen |= _kinds_named(word, kinds)
    if all(word.startswith("-") for word in words):
        chosen = set(kinds)
    for word in words:
        if word.startswith("-"):
            chosen -= _kinds_named(word[1:], kinds)
    if not chosen:
        raise UsageError(
            "no fault is left", place="--faults", next_step="name more: `chaos faults` lists them"
        )
    return sorted(chosen)


def _kinds_named(word: str, kinds: Mapping[str, type[Fault]]) -> set[str]:
    """The names of one kind, of the kinds of a group, or of all kinds."""
    if word in kinds:
        return {word}
    named = {name for name, kind in kinds.items() if word in (ALL, kind.group)}
    if not named:
        groups = {kind.group for kind in kinds.values()}
        raise unknown_name("fault or group", word, [*kinds, *groups, ALL], place="--faults")
    return named


def _fault_plan(
    text: str,
    defaults: Mapping[str, Mapping[str, Value]],
    defaults_place: str,
    hold_min_s: float,
) -> FaultPlan:
    name, given = split_fault(text)
    place = f"--fault {name}"
    if name == CONTROL:
        if given:
            raise UsageError("none takes no parameters", place=f"--fault {text}")
        return FaultPlan(CONTROL, {}, control=True)
    kind = fault_kind(name, place="--fault")
    params = merge_params(
        kind,
        given,
        defaults.get(name, {}),
        given_place=place,
        defaults_place=f"{defaults_place}.{name}",
    )
    hold_s = params.get("hold")
    if "hold" not in given and isinstance(hold_s, (int, float)) and hold_s < hold_min_s:
        params["hold"] = hold_min_s
    weight = int(params.pop("weight", 1))
    return FaultPlan(
        name,
        params,
        weight=weight,
        group=kind.group,
        compatible_groups=tuple(sorted(kind.compatible_groups)),
        needs=tuple(sorted(kind.needs)),
    )
