"""Parse the command line's faults and overrides into typed values.

For example `llm_timeout:hold=10s,count=3` and `guardrails.run_budget_s=60`. Pure: reads no file,
and knows no particular fault.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from chaos.base.errors import UsageError, unknown_name
from chaos.base.typedtree import first_problem
from chaos.base.units import duration_s
from chaos.base.yamlfile import scalar
from chaos.faults.base import Fault, parse_params
from chaos.faults.params import Value
from chaos.plan.experiment import Guardrails, Profile
from chaos.plan.settings_rules import check_setting

CONTROL = "none"


def split_fault(text: str) -> tuple[str, dict[str, Value]]:
    """'llm_timeout:hold=10s,count=3' -> ('llm_timeout', {'hold': '10s', 'count': '3'})."""
    name, colon, rest = text.strip().partition(":")
    params: dict[str, Value] = {}
    if colon and not rest:
        raise _fault_syntax(text, "nothing follows the colon")
    for part in rest.split(",") if colon else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise _fault_syntax(text, f"{part!r} is not key=value")
        if key in params:
            raise _fault_syntax(text, f"{key} is given twice")
        params[key] = value
    if not name:
        raise _fault_syntax(text, "the fault's name is missing")
    return name, params


def _fault_syntax(text: str, message: str) -> UsageError:
    return UsageError(
        message,
        place=f"--fault {text}",
        next_step="write NAME or NAME:KEY=VALUE,KEY=VALUE, e.g. llm_timeout:hold=10s,count=3",
    )


def merge_params(
    kind: type[Fault],
    given: dict[str, Value],
    defaults: Mapping[str, Value],
    *,
    given_place: str,
    defaults_place: str,
) -> dict[str, Value]:
    """Parameters of one fault: command line over profile over the fault's own defaults.

    `count` and `period` exclude each other, so giving one drops the profile's other.
    """
    parse_params(kind, dict(defaults), place=defaults_place)
    parse_params(kind, given, place=given_place)
    base = dict(defaults)
    for name, excluded in (("count", "period"), ("period", "count")):
        if name in given:
            base.pop(excluded, None)
    return parse_params(kind, {**base, **given}, place=given_place)


class Effective(msgspec.Struct, frozen=True):
    """What overrides can change: the profile, the merged criteria, the host's guardrails."""

    profile: Profile
    criteria: dict[str, dict[str, Any]]
    guardrails: Guardrails


def override(base: Effective, texts: Sequence[str]) -> Effective:
    """`base` with each `key=value` applied.

    A key is a profile field (`storm_s`), `settings.NAME`, `criteria.CHECK.NAME` or
    `guardrails.NAME`. Raises `UsageError` for an unknown key; it names the nearest one.
    """
    tree = cast("dict[str, Any]", msgspec.to_builtins(base))
    profile = tree["profile"]
    roots = {name: profile for name in profile if not isinstance(profile[name], dict)}
    for text in texts:
        key, equals, raw = text.partition("=")
        place = f"--set {key.strip()}"
        if not equals or not key.strip():
            raise UsageError(
                f"{text!r} is not key=value", place="--set", next_step="e.g. --set storm_s=40"
            )
        names = key.strip().split(".")
        if names[0] in roots and len(names) == 1:
            _assign(profile, names[0], raw, place)
        elif names[0] == "settings":
            _assign_below(profile, names, raw, place)
            check_setting(names[-1], profile["settings"][names[-1]], place)
        elif names[0] in ("criteria", "guardrails"):
            _assign_below(tree, names, raw, place)
        else:
            known = [*roots, *_paths("settings", profile), *_paths("guardrails", tree)]
            raise unknown_name("key", key.strip(), [*known, *_paths("criteria", tree)], place=place)
        problem = first_problem(tree, Effective)
        if problem is not None:
            raise problem.error(place)
    return msgspec.convert(tree, Effective)


def _paths(name: str, tree: Mapping[str, Any]) -> list[str]:
    """Every dotted path to a value below `tree[name]`."""
    below = tree[name]
    if not isinstance(below, dict):
        return [name]
    return [f"{name}.{rest}" for key in below for rest in _paths(key, below)]


def _assign_below(tree: dict[str, Any], names: list[str], raw: str, place: str) -> None:
    for name in names[:-1]:
        inner = tree.get(name)
        if not isinstance(inner, dict):
            known = [key for key, value in tree.items() if isinstance(value, dict)]
            raise unknown_name("key", name, known, place=place)
        tree = inner
    _assign(tree, names[-1], raw, place)


def _assign(tree: dict[str, Any], name: str, raw: str, place: str) -> None:
    """Replace an existing value by one of the same type; `*_s` also takes '2m' or '500ms'."""
    if name not in tree or isinstance(tree[name], dict):
        known = [key for key, value in tree.items() if not isinstance(value, dict)]
        raise unknown_name("key", name, known, place=place)
    before = tree[name]
    value: Any = scalar(raw.strip())
    if name.endswith("_s") and isinstance(value, str):
        value = duration_s(value, place=place)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(before, (int, float)) and not isinstance(before, bool) and not number:
        raise UsageError(f"{raw!r} is not a number", place=place, next_step="write a number")
    if isinstance(before, str):
        value = raw.strip()
    if isinstance(before, bool) and not isinstance(value, bool):
        raise UsageError(f"{raw!r} is not true or false", place=place)
    tree[name] = value
