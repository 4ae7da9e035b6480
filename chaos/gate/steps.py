"""Plans a gate: from its request to its steps, each with a plan and a schedule.

All steps are resolved before the first run starts, so that a mistake in the last soak is reported
at once and not after hours. This module must not start runs.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.base.errors import UsageError, unknown_name
from chaos.base.yamlfile import read
from chaos.gate.request import GateRequest
from chaos.gate.settings import GateSettings, absolute, read_settings
from chaos.gate.sweep_step import SweepStep, sweep_step
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule, draw
from chaos.runner.options import CONTROL
from chaos.runner.resolve import Request, resolve, soak_names

# The usual time of start, drain, halt and judgement, which adds to the phases of a run.
OVERHEAD_S = 30.0
# Their time limit, which adds to the budget after which a run ends itself.
_BEYOND_BUDGET_S = 600.0


@dataclass(frozen=True)
class Step:
    """One run of a gate."""

    name: str  # "soak_a clean", "soak_a under llm_timeout"
    soak: str
    control: bool
    plan: Plan
    schedule: Schedule

    @property
    def digest(self) -> str:
        """SHA-256 of the plan (hex). The config of a run of this step has the same one."""
        return config_digest(self.plan.to_json())

    @property
    def planned_s(self) -> float:
        """The expected duration."""
        profile = self.plan.profile
        return profile.baseline_s + profile.storm_s + profile.quiet_s + OVERHEAD_S

    @property
    def limit_s(self) -> float:
        """The time limit, after which the gate ends the run."""
        return self.plan.guardrails.run_budget_s + _BEYOND_BUDGET_S


@dataclass(frozen=True)
class GatePlan:
    """The steps of a gate in order. `required` are the soaks of a complete gate.

    `sweep` is its crash sweep, None if its file asks for none.
    """

    request: GateRequest
    steps: tuple[Step, ...]
    cooldown_s: float
    required: tuple[str, ...]
    sweep: SweepStep | None = None

    @property
    def to_make(self) -> list[Step | SweepStep]:
        """The runs, and the sweep unless it is left out, in the order in which they are made."""
        steps: list[Step | SweepStep] = list(self.steps)
        if self.sweep is not None and not self.sweep.left_out:
            steps.insert(self.sweep.place, self.sweep)
        return steps

    @property
    def planned_s(self) -> float:
        """The expected duration of all runs, of the sweep, and of the pauses between them."""
        durations_s = [step.planned_s for step in self.to_make]
        return sum(durations_s) + self.cooldown_s * (len(durations_s) - 1)


def config_digest(config: dict[str, Any]) -> str:
    """Return the SHA-256 of a `config.json` (hex); whitespace and key order do not matter."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def plan_gate(request: GateRequest) -> GatePlan:
    """Return the plan for `request`. Raises `UsageError` for a mistake in it or in the gate file.

    Each soak has a clean run, and then a run under the faults.
    """
    settings = read_settings(Path(request.file))
    if request.profile not in settings.profiles:
        raise unknown_name("profile", request.profile, settings.profiles, place="--profile")
    profile = settings.profiles[request.profile]
    steps: list[Step] = []
    place = 0  # of the sweep
    after = absolute(profile.sweep.after) if profile.sweep else ""
    for soak in request.soaks:
        changes = [f"{key}={value}" for key, value in profile.set.get(soak, {}).items()]
        try:
            steps.append(_step(request, soak, (CONTROL,), changes))
            if request.faults != (CONTROL,):
                steps.append(_step(request, soak, request.faults, changes))
        except UsageError as error:
            error.place = _place_in_file(error.place, request, settings, soak)
            raise
        if soak == after:
            place = len(steps)
    sweep = None
    if profile.sweep is not None:
        work_place = read(Path(request.file)).place("profiles", request.profile, "sweep", "work")
        sweep = sweep_step(request, profile.sweep, after, place or len(steps), work_place)
    return GatePlan(request, tuple(steps), profile.cooldown_s, settings.soaks, sweep)


def _place_in_file(place: str, request: GateRequest, settings: GateSettings, soak: str) -> str:
    """Translate the place of an error, an option of `chaos run`, to its place in the gate file.

    Returns `place` unchanged if the value is not from the file.
    """
    option, _, name = place.partition(" ")
    document = read(Path(request.file))
    if option == "--set":  # `chaos gate` has no such option, so the setting is from the file
        keys = ("profiles", request.profile, "set")
        settings_of = document.data["profiles"][request.profile]["set"]
        soak = next((key for key in settings_of if absolute(key) == soak), soak)
        matches = (key for key in settings_of.get(soak, {}) if f"{key}.".startswith(f"{name}."))
        return document.place(*keys, soak, next(matches, name))
    soaks = [absolute(text) for text in document.data["soaks"]]
    if not option and soak in soaks:  # the file of the soak does not exist
        return document.place("soaks", soaks.index(soak))
    if option == "--fault" and request.faults == settings.faults:
        return document.place("faults")
    if option == "--profile" and request.profile == settings.default_profile:
        return document.place("default_profile")
    return place


def _step(request: GateRequest, soak: str, faults: Sequence[str], changes: Sequence[str]) -> Step:
    plan = resolve(
        Request(
            soak=soak,
            profile=request.profile,
            target=request.target,
            faults=faults,
            seed=request.seed,
            overrides=changes,
            sandbox=request.sandbox,
            backend=request.backend,
            witness=request.witness,
            gpu=request.gpu,
            skip_unavailable=request.skip_unavailable,
        )
    )
    control = tuple(faults) == (CONTROL,)
    kind = "clean" if control else "under " + ", ".join(fault.name for fault in plan.faults)
    return Step(f"{plan.soak} {kind}", plan.soak, control, plan, draw(plan))


def chosen_soaks(text: str | None, settings: GateSettings) -> tuple[str, ...]:
    """Return the names for "a,c" or "soak_a,soak_c" in the order of the gate file.

    None stands for all soaks. Raises `UsageError` for an unknown soak.
    """
    if text is None:
        return tuple(settings.soaks)
    known = dict.fromkeys([*settings.soaks, *soak_names()])
    chosen = set()
    for word in filter(None, (word.strip() for word in text.split(","))):
        name = word if word in known else f"soak_{word.lower()}"
        if name not in known:
            raise unknown_name("soak", word, known, place="--soaks")
        chosen.add(name)
    if not chosen:
        raise UsageError("no soak is named", place="--soaks", next_step="e.g. --soaks a,b")
    return tuple(name for name in known if name in chosen)
