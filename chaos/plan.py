"""The effective plan of one run: experiment, profile, target, faults, seed and limits.

Everything a run does follows from this and from the schedule drawn from it. Written whole to
`config.json`, so that a stored run can be judged and repeated. Plain data: how it comes about
stands in resolve.py.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec

from chaos.errors import UsageError
from chaos.experiment import Guardrails, Profile
from chaos.target import Target

SCHEMA = 1

Sandbox = Literal["namespaces", "none"]
Value = float | int | str  # of a fault's parameter


class FaultPlan(msgspec.Struct, frozen=True):
    """One `--fault`: the kind and its parameters (durations in seconds).

    `control` marks `--fault none`: the run that must pass without any fault.
    """

    name: str
    params: dict[str, Value]
    control: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one run does and how it is judged. `criteria` are the experiment's with the profile's
    and the command line's merged over them; `reproduce` is the command that repeats the run.
    """

    soak: str
    title: str
    workload: str
    profile_name: str
    profile: Profile
    target: Target
    criteria: dict[str, dict[str, Any]]
    guardrails: Guardrails
    faults: tuple[FaultPlan, ...]
    seed: int
    sandbox: Sandbox
    reproduce: str
    backend: Literal["local"] = "local"
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Plain data for `config.json`."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The plan that `to_json` gave; `UsageError` when it is not one."""
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise UsageError(
                f"not the plan of a run: {error}",
                place="config.json",
                next_step="it was written by another version or changed afterwards",
            ) from error
