"""A policy file: conditions beyond a valid signature and PASSED. Knows no signature.

Each condition asks for something that must be there, so that a field which is missing denies.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from chaos.attest.statement import Extension, Predicate, Rate, epoch_s
from chaos.base.yamlfile import load

_DAY_S = 86_400


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a policy file. `configuration`: name -> ALGORITHM:HEX."""

    passed: tuple[str, ...] = ()
    profile: str | None = None
    max_age_days: Annotated[float, msgspec.Meta(gt=0, le=36_500)] | None = None
    configuration: dict[str, str] = {}
    min_detection: Rate | None = None
    max_false_alarms: Rate | None = None


def read_policy(path: Path) -> Policy:
    """The policy in a YAML file. Raises `UsageError` for anything wrong in it."""
    return load(path, Policy)


def objections(
    policy: Policy, predicate: Predicate, own: Extension, now_epoch_s: float
) -> list[str]:
    """What the policy holds against an attestation that is otherwise in order."""
    found = [
        f"policy: {name!r} is not among the passed tests"
        for name in policy.passed
        if name not in predicate.passed_tests
    ]
    if policy.profile is not None and own.profile != policy.profile:
        found.append(f"policy: the profile is {own.profile!r}, not {policy.profile!r}")
    created_s = epoch_s(own.created)
    limit_days = policy.max_age_days
    if limit_days is not None and (
        created_s is None or now_epoch_s - created_s > limit_days * _DAY_S
    ):
        found.append(f"policy: older than {limit_days:g} days")
    used = {
        (one.name, f"{algorithm}:{value}")
        for one in predicate.configuration
        for algorithm, value in one.digest.items()
    }
    found += [
        f"policy: {name!r} is not {wanted}"
        for name, wanted in policy.configuration.items()
        if (name, wanted) not in used
    ]
    rates = own.measured
    if policy.min_detection is not None and rates.detection_rate < policy.min_detection:
        found.append(f"policy: the harness caught {rates.caught} of {rates.defects} defects")
    if policy.max_false_alarms is not None and rates.false_alarm_rate > policy.max_false_alarms:
        found.append(f"policy: the harness accused {rates.accused} of {rates.healthy} healthy ones")
    return found
