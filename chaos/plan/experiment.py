"""Experiment: a soak with its profiles and criteria, read from `experiments/<soak>.yaml`.

Typed and validated; every error names file, line and key.
"""

from typing import Annotated, Any

import msgspec

from chaos.base.bounded import PositiveSeconds
from chaos.base.units import LENGTH_MAX_S

Seconds = Annotated[float, msgspec.Meta(ge=0, le=LENGTH_MAX_S)]
# A shorter period would measure the sampling itself.
SamplePeriod = Annotated[float, msgspec.Meta(ge=0.05, le=LENGTH_MAX_S)]


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class Guardrails(_Model, frozen=True):
    """Limits on the host. Crossing one ends the run (exit code 5), which is undone and judged."""

    host_memory_available_mb_min: Annotated[float, msgspec.Meta(ge=0)] = 512.0
    host_disk_free_mb_min: Annotated[float, msgspec.Meta(ge=0)] = 1024.0
    run_budget_s: PositiveSeconds = 6 * 3600.0
    free_descriptors_min: Annotated[int, msgspec.Meta(ge=0)] = 64


class Profile(_Model, frozen=True):
    """The scale of a soak: phase lengths, sampling, settings and limits."""

    baseline_s: PositiveSeconds
    storm_s: PositiveSeconds
    quiet_s: PositiveSeconds
    sample_period_s: SamplePeriod
    drain_limit_s: (
        PositiveSeconds  # after the injector stopped, and after each request that is finished then
    )
    settings: dict[str, Any]  # filled into the target's commands and policies
    fault_defaults: dict[str, dict[str, str | int | float]] = {}
    criteria: dict[
        str, dict[str, Any] | None
    ] = {}  # merged over the experiment's; null removes one
    workload: str = ""  # instead of the experiment's
    # Of every `quiet_every_s` of the storm, the last `quiet_period_s` stay free of faults.
    quiet_every_s: PositiveSeconds = 60.0
    quiet_period_s: Seconds = 0.0


class Experiment(_Model, frozen=True):
    """One soak, as in its file."""

    soak: str
    title: str
    workload: str
    target: str
    default_profile: str
    profiles: dict[str, Profile]
    criteria: dict[str, dict[str, Any]]
    guardrails: Guardrails = Guardrails()
    checks: dict[str, dict[str, Any]] = {}  # the soak's own checks, as SQL (chaos.checks.own)
