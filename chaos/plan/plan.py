"""The effective plan of one run: experiment, profile, target, faults, seed and limits.

The plan and the schedule drawn from it determine a run. The whole plan is written to `config.json`,
so that a stored run can be judged and repeated. Plain data; resolve.py makes it.
"""

from typing import Any, Literal, Self, cast

import msgspec

from chaos.base.errors import UsageError
from chaos.plan.experiment import Guardrails, Profile
from chaos.record.target import Target

SCHEMA = 1

Sandbox = Literal["namespaces", "none"]
Witness = Literal["all", "none"]
Backend = Literal["local", "docker"]
Value = float | int | str  # of a fault's parameter


class FaultPlan(msgspec.Struct, frozen=True):
    """One `--fault`: the kind and its parameters (durations in seconds).

    `control` marks `--fault none`: the run that must pass without any fault. `weight`: relative
    probability when occurrences are drawn (`Plan.strikes`). `group`, `compatible_groups` and
    `needs` are those of the kind (`chaos.faults.base.Fault`). `left_out`: why it cannot be injected
    in this run. It is scheduled all the same, so that the schedule depends on no machine.
    """

    name: str
    params: dict[str, Value]
    control: bool = False
    weight: int = 1
    group: str = ""
    compatible_groups: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    left_out: str = ""

    def may_overlap(self, other: Self) -> bool:
        """True if both faults may be in force at the same time."""
        return self.group in other.compatible_groups and other.group in self.compatible_groups


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What one run does and how it is judged.

    `criteria`: the experiment's, with the profile's and the command line's merged over them.
    `reproduce`: the command that repeats the run. `strikes`: the number of occurrences that are
    drawn from the faults by weight (None: each fault has its own count or period). `overlap`:
    compatible kinds may overlap. `profile_storm_s`: set only if the storm was made longer than in
    the profile.
    """

    soak: str
    title: str
    workload: str
    profile_name: str
    profile: Profile
    target: Target
    criteria: dict[str, dict[str, Any]]
    guardrails: Guardrails
    checks: dict[str, dict[str, Any]] = {}
    faults: tuple[FaultPlan, ...]
    seed: int
    sandbox: Sandbox
    reproduce: str
    strikes: int | None = None
    overlap: bool = False
    backend: Backend = "local"
    gpu: bool = False  # containers are given the machine's NVIDIA GPUs
    schema: int = SCHEMA
    witness: Witness = "none"
    profile_storm_s: float | msgspec.UnsetType = msgspec.UNSET
    skip_unavailable: bool = False  # what cannot be injected is left out, not refused

    @property
    def needs(self) -> frozenset[str]:
        """Parts of the stack that not every run has."""
        witness = {"witness"} if self.witness == "all" else set()
        needs = {need for fault in self.faults if not fault.left_out for need in fault.needs}
        return frozenset(needs | witness)

    def left_out(self, name: str, params: dict[str, Value]) -> str:
        """Why the occurrences of this fault are left out; "" if they are not."""
        texts = (f.left_out for f in self.faults if (f.name, f.params) == (name, params))
        return next(texts, "")

    def to_json(self) -> dict[str, Any]:
        """Plain data for `config.json`."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Inverse of `to_json`. Raises `UsageError` if `data` is not a plan."""
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise UsageError(
                f"not the plan of a run: {error}",
                place="config.json",
                next_step="it was changed after the run had begun",
            ) from error
