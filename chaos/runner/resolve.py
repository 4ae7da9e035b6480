"""Resolve the command line into the effective plan. Starts nothing.

Finds and reads the files of soak and target, merges criteria and fault parameters, and checks every
name in them, so that mistakes are reported before anything is started.
"""

import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.errors import UsageError, unknown_name
from chaos.base.shipped import EXPERIMENTS
from chaos.base.units import LENGTH_MAX_S
from chaos.base.yamlfile import Document, read, texts
from chaos.checks.own import own_check, try_out
from chaos.checks.registry import check_named
from chaos.faults.registry import fault_kind
from chaos.plan.experiment import Experiment
from chaos.plan.pace import hold_min_s, paced
from chaos.plan.plan import Backend, FaultPlan, Plan, Sandbox, Witness
from chaos.plan.schedule import storm_needed_s
from chaos.plan.settings_rules import check_setting
from chaos.plan.target_rules import check_target
from chaos.plan.target_sources import check_sources, with_sources
from chaos.record.target import Target
from chaos.runner.availability import with_available_faults
from chaos.runner.choose import chosen_faults
from chaos.runner.options import Effective, merge_params, override, split_fault
from chaos.soaks import workload_kind
from chaos.stack.workspace import placeholders

SEED_MAX = 2**63 - 1
STRIKES_MAX = 1000

GATE = "gate"  # experiments/gate.yaml lists soaks; it is not a soak
# Other folders among the runs, and `latest`, the newest run of any soak.
_RESERVED = frozenset({GATE, "sweep", "compare", "campaign", "latest"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BUILT_IN = frozenset({"python", "workspace", "programs", "id", "file"})
_COMMANDS = (
    ("workspace", "prepare"),
    ("env",),
    ("watcher", "start"),
    ("injector", "start"),
    ("services",),
    ("work", "submit"),
    ("batch", "command"),
    ("halt", "command"),
    ("halt", "stop"),
    ("policies", "values"),
    ("llm", "call_limit_s"),
    ("llm", "server"),
)
_OF_SERVER = frozenset({"host", "port", "model"})  # placeholders in llm.server


_FLAGS = {  # others: --NAME
    "faults": "--fault",
    "pool": "--faults",
    "overrides": "--set",
    "skip_unavailable": "--skip-unavailable",
}


@dataclass(frozen=True)
class Request:
    """The soak and the options of `chaos run`, before they are resolved."""

    soak: str
    profile: str | None = None
    target: str | None = None
    faults: Sequence[str] = ()  # --fault: each one kind with its parameters
    pool: Sequence[str] = ()  # --faults: kinds, groups or `all`, comma-separated
    strikes: int | None = None
    overlap: bool = False
    skip_unavailable: bool = False
    seed: int | None = None  # None: draw a seed
    overrides: Sequence[str] = ()  # --set
    sandbox: Sandbox = "namespaces"
    backend: Backend = "local"
    gpu: bool = False
    witness: Witness = "all"
    experiments: Path = EXPERIMENTS  # not an option

    def command(self) -> str:
        """The command line of this request."""
        words = ["chaos", "run", self.soak]
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in ("soak", "experiments") or value == option.default:
                continue
            flag = _FLAGS.get(option.name, f"--{option.name}")
            for item in [value] if isinstance(value, (str, int)) else value:
                words += [flag] if item is True else [flag, str(item)]
        return shlex.join(words)


def soak_names(experiments: Path = EXPERIMENTS) -> list[str]:
    """Names of the soaks in the folder of experiments."""
    return sorted(path.stem for path in experiments.glob("*.yaml") if path.stem != GATE)


def target_names(experiments: Path = EXPERIMENTS) -> list[str]:
    """Names of the target profiles."""
    return sorted(path.stem for path in (experiments / "targets").glob("*.yaml"))


def read_soak(soak: str, experiments: Path = EXPERIMENTS) -> tuple[Document, Experiment]:
    """A soak by its name, or by the path of its file."""
    path = _find("soak", soak, experiments, soak_names(experiments))
    document = read(path)
    experiment = document.to(Experiment)
    _check_name("soak", experiment.soak, document, by_name=not is_path(soak))
    return document, experiment


def name_error(document: Document, key: str, name: str) -> UsageError | None:
    """What is wrong with the name of a soak or target, or None: it must be usable as a folder."""
    if _NAME.fullmatch(name):
        return None
    return UsageError(
        f"{name!r} cannot name a {key}",
        place=document.place(key),
        next_step="letters, digits, dot, dash and underscore, at most 64",
    )


def target_document(name: str, experiments: Path = EXPERIMENTS, *, place: str = "") -> Document:
    """The file of a target, by its name or path."""
    folder = experiments / "targets"
    return read(_find("target", name, folder, target_names(experiments), place=place))


def read_target(
    name: str, experiments: Path = EXPERIMENTS, *, place: str = ""
) -> tuple[Document, Target]:
    """A target profile by its name, or by the path of its file."""
    document = target_document(name, experiments, place=place)
    target = document.to(Target)
    _check_name("target", target.target, document, by_name=not is_path(name))
    check_target(document, target)
    return document, with_sources(target, document.path.parent)


def resolve(request: Request) -> Plan:
    """The effective plan. Raises `UsageError` for a name or value that is not valid."""
    _check_backend(request)
    document, experiment = read_soak(request.soak, request.experiments)
    _check_experiment(document, experiment)
    profile_name = request.profile or experiment.default_profile
    if profile_name not in experiment.profiles:
        place = "--profile" if request.profile else document.place("default_profile")
        raise unknown_name("profile", profile_name, experiment.profiles, place=place)
    profile = experiment.profiles[profile_name]
    target_place = "--target" if request.target else document.place("target")
    own, target = read_target(
        request.target or experiment.target, request.experiments, place=target_place
    )
    profile = paced(profile, target)
    criteria = _criteria(document, experiment, profile_name)
    effective = override(Effective(profile, criteria, experiment.guardrails), request.overrides)
    for name, params in effective.criteria.items():
        if params != criteria[name]:
            check_named(name).parsed(params, place=f"--set criteria.{name}")
    for error in placeholder_errors(own, effective.profile.settings, experiment.soak):
        raise error
    check_sources(own, target, here=request.backend == "local")
    workload = effective.profile.workload or experiment.workload
    try:
        kind = workload_kind(workload, place="--set workload")  # the file's own is valid
        kind.check(target, effective.profile.settings)
    except UsageError as error:
        error.place = _in_file(error.place, document, profile_name, own)
        raise
    seed = secrets.randbits(32) if request.seed is None else request.seed
    if not 0 <= seed <= SEED_MAX:
        raise UsageError(
            f"{seed} is out of range", place="--seed", next_step=f"from 0 to {SEED_MAX}"
        )
    faults = chosen_faults(
        request.faults,
        request.pool,
        effective.profile.fault_defaults,
        defaults_place=document.place("profiles", profile_name, "fault_defaults"),
        hold_min_s=hold_min_s(target),
    )
    _check_strikes(request, faults)
    plan = Plan(
        soak=experiment.soak,
        title=experiment.title,
        workload=workload,
        profile_name=profile_name,
        profile=effective.profile,
        target=target,
        criteria=effective.criteria,
        guardrails=effective.guardrails,
        checks=experiment.checks,
        faults=faults,
        strikes=request.strikes,
        overlap=request.overlap,
        seed=seed,
        sandbox=request.sandbox,
        backend=request.backend,
        gpu=request.gpu,
        witness=request.witness,
        reproduce=replace(request, profile=profile_name, seed=seed).command(),
        skip_unavailable=request.skip_unavailable,
    )
    plan = with_available_faults(plan, place="--fault" if request.faults else "--faults")
    return plan if _sets_storm(request) else _with_storm_for_all(plan, request)


def _check_backend(request: Request) -> None:
    if request.gpu and request.backend != "docker":
        raise UsageError(
            "--gpu is for containers",
            place="--gpu",
            next_step="add --backend docker; the local backend uses a GPU that is there",
        )
    if request.sandbox == "none" and request.backend == "docker":
        raise UsageError(
            "--sandbox none is for the local backend: containers are a sandbox of their own",
            place="--sandbox",
            next_step="leave one of the two out",
        )


def is_path(name: str) -> bool:
    """True if `name` is the path of a file, False if it is the name of a soak or target."""
    return "/" in name or name.endswith((".yaml", ".yml"))


def _find(kind: str, name: str, folder: Path, known: list[str], *, place: str = "") -> Path:
    if is_path(name):
        path = Path(name)
        if not path.exists():
            raise UsageError(
                f"no such file: {name}",
                place=place,
                next_step=f"check the path, or name one of: {', '.join(known) or 'none'}",
            )
        return path
    if name not in known:
        raise unknown_name(kind, name, known, place=place)
    return folder / f"{name}.yaml"


def _check_name(key: str, name: str, document: Document, *, by_name: bool) -> None:
    """The name must be usable as a folder; found by name, the file must have the same name."""
    if error := name_error(document, key, name):
        raise error
    if key == "soak" and name in _RESERVED:
        raise UsageError(
            f"{name!r} cannot name a soak: it means something else among the runs",
            place=document.place(key),
            next_step="choose another name",
        )
    if by_name and name != document.path.stem:
        raise UsageError(
            f"{name!r} stands in the file of {document.path.stem!r}",
            place=document.place(key),
            next_step="give both the same name",
        )


def _check_experiment(document: Document, experiment: Experiment) -> None:
    """Check the names in the whole file, also in profiles that are not used now."""
    workload_kind(experiment.workload, place=document.place("workload"))
    for name, profile in experiment.profiles.items():
        if profile.workload:
            workload_kind(profile.workload, place=document.place("profiles", name, "workload"))
        for setting, value in profile.settings.items():
            check_setting(setting, value, document.place("profiles", name, "settings", setting))
        for fault, params in profile.fault_defaults.items():
            place = document.place("profiles", name, "fault_defaults", fault)
            kind = fault_kind(fault, place=place)
            merge_params(kind, {}, params, given_place=place, defaults_place=place)
        _check_criteria(document, profile.criteria, "profiles", name, "criteria")
    _check_criteria(document, experiment.criteria, "criteria")
    for name, written in experiment.checks.items():
        try_out(own_check(name, written, place=document.place("checks", name)))


def _in_file(place: str, document: Document, profile: str, target: Document) -> str:
    """The place in a file of a key that a workload misses: workloads do not know files."""
    owner, _, key = place.partition(", ")
    if place.startswith("settings."):
        return document.place("profiles", profile, *place.split("."))
    return target.place(*key.split(".")) if owner.startswith("target") and key else place


def _check_criteria(
    document: Document, criteria: Mapping[str, dict[str, Any] | None], *keys: str
) -> None:
    """Each criterion must name a check, with parameters of that check."""
    for name, params in criteria.items():
        place = document.place(*keys, name)
        check_named(name, place=place).parsed(params or {}, place=place)


def _criteria(document: Document, experiment: Experiment, name: str) -> dict[str, dict[str, Any]]:
    """The experiment's criteria, with the profile's merged over them; null removes a criterion."""
    merged = {check: dict(params) for check, params in experiment.criteria.items()}
    for check, params in experiment.profiles[name].criteria.items():
        if check not in merged:
            place = document.place("profiles", name, "criteria", check)
            raise unknown_name("criterion", check, merged, place=place)
        if params is None:
            del merged[check]
        else:
            merged[check] |= params
    if not merged:
        raise UsageError(
            "there is no criterion: nothing could be judged",
            place=document.place("criteria"),
            next_step="name at least one, e.g. errors: {max: 0}",
        )
    return merged


def placeholder_errors(
    document: Document, settings: dict[str, Any], soak: str
) -> Iterator[UsageError]:
    """Every {name} that is filled in and not known: with it the start, or a check, would fail."""
    known = _BUILT_IN | settings.keys()
    for keys in _COMMANDS:
        part: Any = document.data
        for key in keys:
            part = part.get(key) or {}
        for path, text in texts(part, keys):
            place = document.place(*path)
            for name in placeholders(text):
                if name not in known and not (path[:2] == ("llm", "server") and name in _OF_SERVER):
                    problem = unknown_name("placeholder", name, known, place=place)
                    yield UsageError(
                        f"{problem.message} (not among the settings of {soak})",
                        place=place,
                        next_step=problem.next_step,
                    )


def _check_strikes(request: Request, faults: tuple[FaultPlan, ...]) -> None:
    if request.strikes is None:
        return
    if not 1 <= request.strikes <= STRIKES_MAX:
        raise UsageError(
            f"{request.strikes} is out of range",
            place="--strikes",
            next_step=f"from 1 to {STRIKES_MAX}",
        )
    if not faults or faults[0].control:
        raise UsageError(
            "there is no fault to draw from", place="--strikes", next_step="add --faults all"
        )
    for text in request.faults:
        _, given = split_fault(text)
        if given.keys() & {"count", "period"}:
            raise UsageError(
                "--strikes draws how often each fault strikes",
                place=f"--fault {text}",
                next_step="leave out count and period, or give weight=N",
            )


def _sets_storm(request: Request) -> bool:
    return any(text.partition("=")[0].strip() == "storm_s" for text in request.overrides)


def _with_storm_for_all(plan: Plan, request: Request) -> Plan:
    """Make the storm longer if the faults need it; never shorter.

    `--faults` also gets some slack. Several `--fault` that fit keep the profile's storm. Faults
    with a period or with overlap keep it too: its length decides where they are placed.
    """
    several = len(plan.faults) > 1 and not plan.overlap
    fixed = not request.pool and any("period" in fault.params for fault in plan.faults)
    if not request.pool and (not several or fixed):
        return plan
    if storm_needed_s(plan, slack=bool(request.pool)) <= plan.profile.storm_s:
        return plan
    needed_s = storm_needed_s(plan)
    if needed_s > LENGTH_MAX_S:
        raise UsageError(
            f"all these faults need a storm of {needed_s:.0f} s, which is more than "
            f"{LENGTH_MAX_S} s",
            place="--faults" if request.pool else "--fault",
            next_step="name fewer faults, or give them a shorter hold or a smaller count",
        )
    profile = msgspec.structs.replace(plan.profile, storm_s=needed_s)
    return msgspec.structs.replace(plan, profile=profile, profile_storm_s=plan.profile.storm_s)
